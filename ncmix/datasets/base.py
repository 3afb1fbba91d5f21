"""The shape in which every data set reaches the trainer: whole splits as tensors on the device."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ncmix.errors import NcmixError


class DataError(NcmixError, RuntimeError):
    """A data set cannot be had or used; the message is a sentence a user can act on."""


@dataclass(frozen=True)
class Split:
    """Inputs x, uint8 images (N, C, H, W) or float32 vectors (N, D), and class indices y, int64 (N,), on one device."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Data:
    """A data set in memory. `mean` and `std` are per channel (C,), in the units of x, of the whole training split."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (C, H, W) or (D,)."""
        return tuple(self.train.x.shape[1:])

    def normalize(self, x_B: Tensor) -> Tensor:
        """Inputs as float32 with zero mean and unit variance per channel; vectors pass as they are."""
        if x_B.ndim == 2:
            return x_B.to(torch.float32)
        return (x_B.to(torch.float32) - self.mean.view(1, -1, 1, 1)) / self.std.view(1, -1, 1, 1)
