"""The shape in which every data set reaches the trainer: splits that give batches on the device, in any order."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ncmix.errors import NcmixError


class DataError(NcmixError, RuntimeError):
    """A data set cannot be had or used; the message is a sentence a user can act on."""


class Split(ABC):
    """Samples of which some or all are on the device.

    Attributes:
        y: class indices, int64 (N,), all on the device.
        shape: of one input: uint8 images (C, H, W) or float32 vectors (D,).
    """

    y: Tensor

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @abstractmethod
    def rows(self, index_B: Tensor) -> Tensor:
        """The inputs (B, …) with these numbers, on the device."""

    @abstractmethod
    def batches(self, size: int, order_N: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Inputs and labels on the device, `size` at a time, in the order of the data or of these numbers.

        How the samples are kept makes no difference to what comes: it is the same bit for bit.
        """

    def __len__(self) -> int:
        return len(self.y)


@dataclass(frozen=True)
class Whole(Split):
    """All inputs x (N, …) and labels y (N,) as tensors on one device: nothing is faster where they fit."""

    x: Tensor
    y: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) or (D,)."""
        return tuple(self.x.shape[1:])

    def rows(self, index_B: Tensor) -> Tensor:
        """The inputs with these numbers."""
        return self.x.index_select(0, index_B)  # on a CPU 18 times faster than self.x[index_B]

    def batches(self, size: int, order_N: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Views in the order of the data, or gathered in the given one."""
        if order_N is None:
            yield from zip(self.x.split(size), self.y.split(size), strict=True)
            return
        for index_B in order_N.split(size):
            yield self.rows(index_B), self.y[index_B]


@dataclass(frozen=True)
class Data:
    """A data set. `mean` and `std` are per channel (C,), in the units of the inputs, of the whole training split."""

    train: Split
    test: Split
    classes: tuple[str, ...]
    mean: Tensor
    std: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (C, H, W) or (D,)."""
        return self.train.shape

    @property
    def device(self) -> torch.device:
        """Where batches come to."""
        return self.mean.device

    def normalize(self, x_B: Tensor) -> Tensor:
        """Inputs as float32 with zero mean and unit variance per channel; vectors pass as they are.

        Images come channels last in memory, as the networks are: else the first layer would turn everything around.
        """
        if x_B.ndim == 2:
            return x_B.to(torch.float32)
        # A copy, and all the rest in it: each further array of this size would cost as much again.
        normal_B = x_B.to(torch.float32, copy=True).sub_(self.mean.view(1, -1, 1, 1)).div_(self.std.view(1, -1, 1, 1))
        return normal_B.contiguous(memory_format=torch.channels_last)
