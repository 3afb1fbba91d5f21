"""Trains one experiment and yields what it measures: no sessions, loggers or callbacks; to cancel is to stop iterating,
and to be able to go on later is to take a checkpoint between two items.

Shapes: B batch, N samples, K classes, D feature dimension.
"""

import time
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from ncmix import accelerate, augment, datasets, losses, mix, models, optim
from ncmix.accelerate import Forward, Tensors
from ncmix.checkpoint import Checkpoint, CheckpointError
from ncmix.datahome import DataHome
from ncmix.datasets.base import Data, DataError
from ncmix.losses import Outputs
from ncmix.measure import Measured, Measurer
from ncmix.mix import Chance, Mixed
from ncmix.numerics import arithmetic, resolve_device
from ncmix.pace import Pace
from ncmix.ranks import Ranks, device_of, leading
from ncmix.results import Metric, Snapshot, Tick
from ncmix.running import Running
from ncmix.spec import Spec
from ncmix.stepping import Moving

# How long the loop runs before it gives a sign of life, and the consumer a chance to stop.
TICK_SECONDS = 0.25


def run(
    spec: Spec, device: str | None = None, home: DataHome | None = None, resume: Checkpoint | None = None
) -> "Training":
    """Train as `spec` says, on `device` (default: the spec's), with data from `home` (default: from the environment).

    Yields a Snapshot at the end of every epoch (epoch 0, the untrained network, only if it is to be measured), and
    Ticks between them. On the CPU the same spec gives the same numbers bit for bit, also when it goes on from a
    checkpoint of an earlier run: then what that had yielded is not yielded again.

    Raises:
        CheckpointError: `resume` is of another run, or the spec extends a run and there is no `resume`.
        DataError: the data cannot be had, or do not fit the spec.
        DeviceError: there is no such device here, or there are fewer than `spec.devices`.
        RanksError: one of the processes that train together has died.
        FloatingPointError: the training diverged.
    """
    return Training(spec, resolve_device(device or spec.device), home or DataHome.from_environment(), resume)


class Training(Iterator[Tick | Snapshot]):
    """A run under way: iterate over it. Between two items, `checkpoint` is all it needs to go on from there."""

    def __init__(
        self,
        spec: Spec,
        device: torch.device,
        home: DataHome,
        resume: Checkpoint | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        """See `run`; `ranks` is that of a process which another one leads, and takes its checkpoint from that."""
        if resume:
            resume.check(spec, device.type)
        elif spec.extends and ranks is None:
            raise CheckpointError(
                f"{spec.title} goes on where run {spec.extends.key[:12]}… ended: name its checkpoint."
            )
        self.spec = spec
        self._trainer: Trainer | None = None
        joined = leading(spec, device, home) if ranks is None else nullcontext(ranks)
        self._items = self._train(joined, device, home, resume)

    def __next__(self) -> Tick | Snapshot:
        return next(self._items)

    def close(self) -> None:
        """End the run here, and the processes that train with this one."""
        self._items.close()

    def checkpoint(self) -> Checkpoint:
        """What `run` can resume from. Its tensors are the training's own: write it before the next item is taken."""
        if self._trainer is None:
            raise RuntimeError("The training has not begun: take its first item before a checkpoint.")
        return self._trainer.checkpoint()

    def _train(
        self, joined: AbstractContextManager[Ranks], device: torch.device, home: DataHome, resume: Checkpoint | None
    ) -> Generator[Tick | Snapshot]:
        with joined as ranks:
            self._trainer = trainer = Trainer(self.spec, device, home, ranks=ranks)
            if resume := ranks.same(resume):
                trainer.load_state(resume)
            if trainer.untrained and 0 in self.spec.measured_epochs:
                yield Snapshot(0, *(yield from _measured(trainer, 0)))
            for epoch in range(trainer.done + 1, self.spec.epochs + 1):
                yield from _epoch(trainer, epoch)


def _epoch(trainer: "Trainer", epoch: int) -> Iterator[Tick | Snapshot]:
    if trainer.epoch != epoch:  # else it was resumed in its midst
        trainer.begin(epoch)
    while trainer.step < trainer.steps:
        trainer.advance(TICK_SECONDS)
        yield Tick(epoch, trainer.step, trainer.steps)
    running = trainer.running()
    seconds = time.perf_counter() - trainer.began
    measured, sets = yield from _measured(trainer, epoch)
    trainer.done = epoch
    yield Snapshot(epoch, running + measured, sets, seconds)


def _measured(trainer: "Trainer", epoch: int) -> Generator[Tick, None, Measured]:
    pulses = trainer.measurer.at(epoch, TICK_SECONDS)
    while True:
        try:
            next(pulses)
        except StopIteration as end:
            return end.value
        yield Tick(epoch, trainer.steps, trainer.steps)


class Trainer:
    """The moving parts of one run; `begin` an epoch, `advance` through its batches, read the `running` means."""

    def __init__(
        self, spec: Spec, device: torch.device, home: DataHome, data: Data | None = None, ranks: Ranks | None = None
    ) -> None:
        """For `spec` on `device`, with `data` or those that the spec names, from `home`; as one of `ranks` or alone."""
        self.spec, self.ranks = spec, (ranks := ranks or Ranks())
        self.device = device = device_of(ranks.rank, ranks.count, device)
        self.data = data or datasets.load(spec.dataset, home, device, spec.seed)
        self.steps = _steps(self.data, spec.batch_size, ranks.count)
        self.draws = mix.Draws.seeded(spec.seed, device)
        network = models.build(spec.model, spec.head, self.data.shape, len(self.data.classes), spec.seed)
        # Channels last: convolutions are up to twice as fast so, on a CPU as on tensor cores.
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.augment = augment.build(spec.dataset)
        self.mix = mix.build(spec.mix, self.network.places)
        self.loss = losses.build(spec.loss)
        self.optimizer = optim.build(spec.optimizer, self.network.parameters())
        self.sums = Running(device)
        mode = accelerate.mode(spec, device, spec.epochs * self.steps)
        self.moving = Moving(self.network, self.optimizer, self.sums.own, self.draws.device)
        self.accelerated = accelerate.build(ranks.together(self.network, device), mode, self.moving)
        self.measurer = Measurer(spec, self.data, self.network, self.loss, ranks)
        self.rate, self.pace = spec.optimizer.lr, Pace()
        # `done` epochs are over and yielded; `epoch`, if it is the next one, is under way and `step` batches old.
        self.done, self.epoch, self.step = 0, 0, self.steps

    @property
    def untrained(self) -> bool:
        """Whether no batch was seen yet."""
        return self.done == self.epoch == 0

    def begin(self, epoch: int) -> None:
        """Shuffle for `epoch`, counted from 1."""
        self.network.train()
        self.epoch, self.step, self.began = epoch, 0, time.perf_counter()
        self.order_N = torch.randperm(len(self.data.train), generator=self.draws.device, device=self.device)
        self.sums.clear()
        self.batches = self._coming()

    def _coming(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of `order_N` from `step` on; streamed data are read ahead of their use."""
        size = self.spec.batch_size
        return self.data.train.batches(size, self.order_N[self.step * size : self.steps * size])

    def advance(self, seconds: float) -> None:
        """Train on the epoch's next batches: about as many as `seconds` suffice for, at least one, if one is left."""
        batches = self.ranks.agreed(min(self.pace.batches(seconds), self.steps - self.step))
        with arithmetic(deterministic=self.spec.deterministic, searching=True), self.pace.measuring(batches):
            for _ in range(batches):
                self._train_on(*next(self.batches))
                self.step += 1
        self.sums.share(self.ranks)

    def _train_on(self, x_B: Tensor, y_B: Tensor) -> None:
        self._set_rate()
        chance = self.mix.draw(x_B.shape, self.draws.host)
        self.accelerated(self._step, (x_B, y_B, *chance.on(self.device)), chance.place)

    def _step(self, forward: Forward, tensors: Tensors, place: int) -> None:
        """What a batch does on the device, from pictures to new weights; it may be recorded once and replayed."""
        x_B, y_B, *numbers = tensors
        x_B = self.data.normalize(self.augment(x_B, self.draws.device))
        mixed = self.mix.apply(x_B, y_B, len(self.data.classes), Chance(place, numbers), self.draws.device)
        share, size = self.ranks.share(mixed), len(mixed.y_BK)
        loss_B, z_BK = self.gradients(forward, share, size / self.ranks.count)
        self.optimizer.step()
        self.sums.add(loss_B, z_BK, share.y_BK)

    def gradients(self, forward: Forward, mixed: Mixed, size: float | None = None) -> tuple[Tensor, Tensor]:
        """New gradients of all parameters, left in them; the losses (B,) and logits (B, K) they came of.

        Ranks average gradients: `size` is that of the batch of which `mixed` is a share over the number of ranks.
        """
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.precision == "bf16"):
            h_BD, z_BK = forward(mixed.x_B, mixed.blend)
        loss_B = self.loss(Outputs(h_BD, z_BK, self.network.weight), mixed.y_BK)
        self.optimizer.zero_grad(set_to_none=True)
        (loss_B.sum() / (size or len(loss_B))).backward()
        return loss_B.detach(), z_BK.detach()

    def _set_rate(self) -> None:
        done = (self.epoch - 1) * self.steps + self.step
        spec = self.spec
        rate = optim.rate(spec.schedule, spec.optimizer.lr, spec.epochs, self.steps, done)
        if rate != self.rate:
            self.rate = rate
            optim.set_rate(self.optimizer, rate)

    def running(self) -> tuple[Metric, ...]:
        """The epoch's mean loss and accuracy over its own batches (under mixup: of the dominant label), and its lr.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        return self.sums.metrics(self.epoch, self.rate)

    def checkpoint(self) -> Checkpoint:
        """The run as it is between two batches; `load_state` of another trainer goes on from it."""
        amid = self.epoch > self.done
        state = {
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "draws": self.draws.state(),
            "amid": self._amid() if amid else None,
        }
        step = self.step if amid else 0
        return Checkpoint(self.spec.key, self.spec.model_dump(mode="json"), self.device.type, self.done, step, state)

    def _amid(self) -> dict[str, Any]:
        """What an epoch under way has beside weights and generators: its order, its sums, its time."""
        return {
            **self.sums.state(),
            "order": self.order_N,
            "rate": self.rate,
            "seconds": time.perf_counter() - self.began,
        }

    def load_state(self, checkpoint: Checkpoint) -> None:
        """Become the trainer that this checkpoint was taken of."""
        state = checkpoint.state
        self.network.load_state_dict(state["model"])
        optim.load(self.optimizer, state["optimizer"])
        self.done = self.epoch = checkpoint.epoch
        if amid := state["amid"]:
            self.begin(checkpoint.epoch + 1)
            self.step, self.rate = checkpoint.step, amid["rate"]
            optim.set_rate(self.optimizer, self.rate)
            self.began -= amid["seconds"]
            self.order_N = amid["order"].to(self.device)
            self.batches = self._coming()
            self.sums.load_state(amid, self.ranks)
        # Last: to begin an epoch draws its order.
        self.draws.load_state(state["draws"])


def _steps(data: Data, batch_size: int, ranks: int) -> int:
    """Batches an epoch. The last may be smaller, but one of a single sample is left out: it has no batch statistics."""
    samples = len(data.train)
    if batch_size > samples:
        raise DataError(f"batch_size {batch_size} is larger than the training data, which have {samples} images.")
    if 1 < (last := samples % batch_size) < ranks:
        raise DataError(
            f"The last batch of an epoch has {last} samples, fewer than devices: {ranks}; another batch_size helps."
        )
    return samples // batch_size + (last > 1)
