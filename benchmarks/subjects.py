"""What is timed: our step alone, our whole loop, and a plain PyTorch loop as most research code has it.

Shapes: B batch, C channels, H height, W width, K classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ncmix import accelerate, datasets, models
from ncmix.accelerate import Forward, Mode, Tensors
from ncmix.datahome import DataHome
from ncmix.datasets.base import Data, Whole
from ncmix.datasets.raw import channel_statistics
from ncmix.mix import Mixed
from ncmix.numerics import arithmetic
from ncmix.spec import ImageFolder, Spec, parse
from ncmix.train import TICK_SECONDS, Trainer


def spec(**fields: Any) -> Spec:
    """CIFAR-10 shapes, crops and mirror images, SGD, as long as published runs."""
    usual = {"dataset": {"kind": "cifar10", "augment": "crop_flip"}, "epochs": 350, "measure": {"epochs": "last"}}
    return parse({**usual, **fields})


def pictures(count: int, device: torch.device, folder: Path | None) -> Data:
    """`count` pictures of 32×32 to train on and to measure: random ones, or the first of each class of a folder."""
    if folder:
        home = DataHome(Path("build") / "bench", {"bench": folder}, resident_bytes=2**63)
        dataset = ImageFolder(name="bench", image_size=32, per_class=_per_class(folder, count))
        return datasets.load(dataset, home, device, seed=0)
    generator = torch.Generator().manual_seed(0)
    x_N = torch.randint(256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    split = Whole(x_N.to(device), (torch.arange(count) % 10).to(device))
    mean, std = channel_statistics(x_N)
    return Data(split, split, tuple("0123456789"), mean.to(device), std.to(device))


def _per_class(folder: Path, count: int) -> int:
    classes = [sum(1 for _ in c.iterdir()) for c in (folder / "train").iterdir() if c.is_dir()]
    return min(*classes, max(1, count // len(classes)))


class Ours:
    """A trainer; `epoch` is our whole loop, `steps` the same steps on a batch that is always the same."""

    def __init__(self, spec: Spec, device: torch.device, data: Data, mode: Mode | None = None) -> None:
        self.trainer = trainer = Trainer(spec, device, DataHome(Path("unused")), data)
        mode = mode or accelerate.mode(spec, device, spec.epochs * trainer.steps)
        trainer.accelerated, self._bare = (accelerate.build(trainer.network, mode, trainer.moving) for _ in range(2))
        trainer.begin(1)
        x_B, y_B = next(trainer.batches)
        mixed = trainer.mix(data.normalize(x_B), y_B, len(data.classes), trainer.draws)
        self._batch = mixed.x_B, mixed.y_BK

    def epoch(self) -> int:
        """An epoch as `ncmix train` runs it, with the reading of its loss at the end."""
        self.trainer.begin(1)
        while self.trainer.step < self.trainer.steps:
            self.trainer.advance(TICK_SECONDS)
        self.trainer.running()
        return self.trainer.steps * self.trainer.spec.batch_size

    def steps(self) -> int:
        """As many bare steps: forward, backward, optimizer."""
        trainer = self.trainer
        with arithmetic(deterministic=trainer.spec.deterministic, searching=True):
            for _ in range(trainer.steps):
                self._bare(self._step, self._batch, 0)
        return trainer.steps * trainer.spec.batch_size

    def _step(self, forward: Forward, tensors: Tensors, place: int) -> None:
        x_B, y_BK = tensors
        self.trainer.gradients(forward, Mixed(x_B, y_BK))
        self.trainer.optimizer.step()


@dataclass(frozen=True)
class _Items(Dataset[Any]):
    """Pictures as torchvision keeps CIFAR-10: an array in memory, an item at a time through the transforms."""

    x_N: np.ndarray
    y_N: list[int]
    transform: Any

    def __len__(self) -> int:
        return len(self.y_N)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        from PIL import Image  # noqa: PLC0415 - in the workers

        return self.transform(Image.fromarray(self.x_N[i])), self.y_N[i]


class Plain:
    """The loop of the tutorials and of most published code: loader processes, transforms, `loss.item()` every step."""

    def __init__(self, spec: Spec, device: torch.device, data: Data, workers: int) -> None:
        self.spec, self.device = spec, device
        self.network = models.build(spec.model, spec.head, data.shape, len(data.classes), 0).to(device)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
        self.loader = DataLoader(
            _items(data),
            spec.batch_size,
            shuffle=True,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda",
            drop_last=True,
        )

    def epoch(self) -> int:
        """One pass over the loader."""
        self.network.train()
        total, correct, images = 0.0, 0, 0
        for inputs, labels in self.loader:
            x_B, y_B = inputs.to(self.device), labels.to(self.device)
            loss, z_BK = self._loss(x_B, y_B)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            total += loss.item() * len(y_B)
            correct += (z_BK.argmax(1) == y_B).sum().item()
            images += len(y_B)
        return images

    def _loss(self, x_B: Tensor, y_B: Tensor) -> tuple[Tensor, Tensor]:
        criterion = nn.CrossEntropyLoss()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.spec.precision == "bf16"):
            if self.spec.mix.kind == "none":
                _, z_BK = self.network(x_B)
                return criterion(z_BK, y_B), z_BK
            lam, partner_B = np.random.beta(1, 1), torch.randperm(len(x_B), device=self.device)
            _, z_BK = self.network(lam * x_B + (1 - lam) * x_B[partner_B])
            return lam * criterion(z_BK, y_B) + (1 - lam) * criterion(z_BK, y_B[partner_B]), z_BK


def _items(data: Data) -> _Items:
    from torchvision import transforms  # noqa: PLC0415 - only this subject needs it

    assert isinstance(data.train, Whole)  # noqa: S101 - pictures() makes no other
    transform = transforms.Compose(
        [
            transforms.RandomCrop(data.shape[-1], padding=data.shape[-1] // 8),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize((data.mean / 255).tolist(), (data.std / 255).tolist()),
        ]
    )
    return _Items(data.train.x.permute(0, 2, 3, 1).cpu().numpy(), data.train.y.tolist(), transform)
