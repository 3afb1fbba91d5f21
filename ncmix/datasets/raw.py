"""What a loader hands over: both splits as they were published, on the CPU, and what is known of their pixels.

Shapes: N samples, C channels, D vector dimension.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix.datasets.base import Whole

_CHUNK_BYTES = 16 << 20


@dataclass(frozen=True)
class Raw:
    """A data set as published. Classes are numbered in the order of their names here.

    Attributes:
        mapped: whether the inputs are mapped from a file: reading them reads the disk, and they cannot be written.
        statistics: mean and deviation of the training split's channels where they are known already.
    """

    train: Whole
    test: Whole
    classes: tuple[str, ...]
    mapped: bool = False
    statistics: tuple[Tensor, Tensor] | None = None


def split_of(x_N: NDArray[np.uint8] | NDArray[np.float32], y_N: NDArray[np.integer]) -> Whole:
    """A split from NumPy arrays, without a copy where the arrays allow it."""
    return Whole(tensor_of(np.ascontiguousarray(x_N)), torch.from_numpy(np.ascontiguousarray(y_N, np.int64)))


def tensor_of(array: NDArray[Any]) -> Tensor:
    """The tensor of an array's own memory, which may be mapped from a file to be read only."""
    with warnings.catch_warnings():
        # torch knows no tensors that cannot be written; nobody writes to data as published.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writ")
        return torch.from_numpy(array)


def channel_statistics(x_N: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (population) standard deviation of every channel of images (N, C, H, W), or component of vectors (N, D).

    Exact for uint8 before the final rounding to float32, and read once in small chunks. A constant channel gets the
    deviation 1: it normalises to 0.
    """
    exact = torch.int64 if x_N.dtype == torch.uint8 else torch.float64
    others = (0, *range(2, x_N.ndim))
    total, squares = (torch.zeros(x_N.shape[1], dtype=exact) for _ in range(2))
    for chunk in x_N.split(max(1, _CHUNK_BYTES // x_N[0].nbytes)):
        wide = chunk.to(torch.int32 if exact == torch.int64 else exact)
        total += wide.sum(others)
        squares += wide.square_().sum(others)
    count = x_N.numel() // x_N.shape[1]
    mean = total.double() / count
    # Integers up to 255² · 10¹¹ stay exact in float64, so only the final difference rounds.
    std = ((squares.double() - total.double() * mean) / count).clamp(min=0).sqrt()
    return mean.float(), torch.where(std > 0, std, 1.0).float()
