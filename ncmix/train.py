"""Trains one experiment and yields what it measures: no sessions, loggers or callbacks; to cancel is to stop iterating.

Shapes: B batch, N samples, K classes, D feature dimension.
"""

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ncmix import accelerate, augment, datasets, losses, mix, models, optim
from ncmix.accelerate import Forward
from ncmix.datahome import DataHome
from ncmix.datasets.base import Data, DataError
from ncmix.losses import Outputs
from ncmix.measure import Measured, Measurer
from ncmix.mix import Mixed
from ncmix.numerics import arithmetic, resolve_device
from ncmix.results import Metric, Snapshot, Tick
from ncmix.spec import Spec

# How long the loop runs before it gives a sign of life, and the consumer a chance to stop.
TICK_SECONDS = 0.25


def run(spec: Spec, device: str | None = None, home: DataHome | None = None) -> Iterator[Tick | Snapshot]:
    """Train as `spec` says, on `device` (default: the spec's), with data from `home` (default: from the environment).

    Yields a Snapshot at the end of every epoch (epoch 0, the untrained network, only if it is to be measured), and
    Ticks between them. On the CPU the same spec gives the same numbers bit for bit.

    Raises:
        DataError: the data cannot be had, or do not fit the spec.
        DeviceError: there is no such device here.
        FloatingPointError: the training diverged.
    """
    trainer = Trainer(spec, resolve_device(device or spec.device), home or DataHome.from_environment())
    if 0 in spec.measured_epochs:
        yield Snapshot(0, *(yield from _measured(trainer, 0)))
    for epoch in range(1, spec.epochs + 1):
        yield from _epoch(trainer, epoch)


def _epoch(trainer: "Trainer", epoch: int) -> Iterator[Tick | Snapshot]:
    start = time.perf_counter()
    trainer.begin(epoch)
    while trainer.step < trainer.steps:
        trainer.advance(TICK_SECONDS)
        yield Tick(epoch, trainer.step, trainer.steps)
    running = trainer.running()
    seconds = time.perf_counter() - start
    measured, sets = yield from _measured(trainer, epoch)
    yield Snapshot(epoch, running + measured, sets, seconds)


def _measured(trainer: "Trainer", epoch: int) -> Generator[Tick, None, Measured]:
    pulses = trainer.measurer.at(epoch, TICK_SECONDS)
    while True:
        try:
            next(pulses)
        except StopIteration as end:
            return end.value
        yield Tick(epoch, trainer.steps, trainer.steps)


@dataclass
class _Sums:
    """What an epoch's batches add up to, on the device: reading it is the epoch's one synchronisation."""

    loss_correct: Tensor
    samples: int = 0


class Trainer:
    """The moving parts of one run; `begin` an epoch, `advance` through its batches, read the `running` means."""

    def __init__(self, spec: Spec, device: torch.device, home: DataHome) -> None:
        self.spec, self.device = spec, device
        self.data = datasets.load(spec.dataset, home, device, spec.seed)
        self.steps = _steps(self.data, spec.batch_size)
        self.draws = mix.Draws.seeded(spec.seed, device)
        network = models.build(spec.model, spec.head, self.data.shape, len(self.data.classes), spec.seed)
        # Channels last: convolutions are up to twice as fast so, on a CPU as on tensor cores.
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.augment = augment.build(spec.dataset)
        self.mix = mix.build(spec.mix, self.network.places)
        self.loss = losses.build(spec.loss)
        self.optimizer = optim.build(spec.optimizer, self.network.parameters())
        mode = accelerate.mode(spec, device, spec.epochs * self.steps)
        self.accelerated = accelerate.build(self.network, mode)
        self.measurer = Measurer(spec, self.data, self.network, self.loss)
        self.epoch, self.step = 0, self.steps

    def begin(self, epoch: int) -> None:
        """Shuffle for `epoch`, counted from 1."""
        self.network.train()
        self.epoch, self.step = epoch, 0
        self.order_N = torch.randperm(len(self.data.train), generator=self.draws.device, device=self.device)
        self.sums = _Sums(torch.zeros(2, dtype=torch.float64, device=self.device))
        self.batches = self._coming()

    def _coming(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of `order_N` from `step` on; streamed data are read ahead of their use."""
        size = self.spec.batch_size
        return self.data.train.batches(size, self.order_N[self.step * size : self.steps * size])

    def advance(self, seconds: float) -> None:
        """Train on the epoch's next batches until it ends or `seconds` are over."""
        deadline = time.perf_counter() + seconds
        with arithmetic(deterministic=self.spec.deterministic, searching=True):
            while self.step < self.steps and time.perf_counter() < deadline:
                self._train_on(*next(self.batches))
                self.step += 1

    def _train_on(self, x_B: Tensor, y_B: Tensor) -> None:
        x_B = self.data.normalize(self.augment(x_B, self.draws.device))
        mixed = self.mix(x_B, y_B, len(self.data.classes), self.draws)
        loss_B, z_BK = self.accelerated(self._gradients, mixed)
        self._set_rate()
        self.optimizer.step()
        self._count(loss_B, z_BK, mixed.y_BK)

    def _gradients(self, forward: Forward, mixed: Mixed) -> tuple[Tensor, Tensor]:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.precision == "bf16"):
            h_BD, z_BK = forward(mixed.x_B, mixed.blend)
        loss_B = self.loss(Outputs(h_BD, z_BK, self.network.weight), mixed.y_BK)
        self.optimizer.zero_grad(set_to_none=True)
        loss_B.mean().backward()
        return loss_B.detach(), z_BK.detach()

    def _set_rate(self) -> None:
        done = (self.epoch - 1) * self.steps + self.step
        spec = self.spec
        self.rate = optim.rate(spec.schedule, spec.optimizer.lr, spec.epochs, self.steps, done)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate

    def _count(self, loss_B: Tensor, z_BK: Tensor, y_BK: Tensor) -> None:
        correct = (z_BK.argmax(1) == y_BK.argmax(1)).sum()
        self.sums.loss_correct += torch.stack([loss_B.sum(dtype=torch.float64), correct])
        self.sums.samples += len(loss_B)

    def running(self) -> tuple[Metric, ...]:
        """The epoch's mean loss and accuracy over its own batches (under mixup: of the dominant label), and its lr.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        loss, correct = (self.sums.loss_correct / self.sums.samples).tolist()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The training diverged: the loss of epoch {self.epoch} is {loss}. A smaller optimizer.lr may help."
            )
        return (
            Metric("running", "loss", loss),
            Metric("running", "accuracy", correct),
            Metric("running", "lr", self.rate),
        )


def _steps(data: Data, batch_size: int) -> int:
    """Batches an epoch. The last may be smaller, but one of a single sample is left out: it has no batch statistics."""
    samples = len(data.train)
    if batch_size > samples:
        raise DataError(f"batch_size {batch_size} is larger than the training data, which have {samples} images.")
    return samples // batch_size + (samples % batch_size > 1)
