"""What a loader hands over: both splits as they were published, on the CPU, and what is known of their pixels.

Shapes: N samples, C channels, D vector dimension.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix.datasets.base import Split

_CHUNK = 4096


@dataclass(frozen=True)
class Raw:
    """A data set as published. Classes are numbered in the order of their names here."""

    train: Split
    test: Split
    classes: tuple[str, ...]


def split_of(x_N: NDArray[np.uint8] | NDArray[np.float32], y_N: NDArray[np.integer]) -> Split:
    """A split from NumPy arrays, without a copy where the arrays allow it."""
    return Split(torch.from_numpy(np.ascontiguousarray(x_N)), torch.from_numpy(np.ascontiguousarray(y_N, np.int64)))


def channel_statistics(x_N: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and (population) standard deviation of every channel of images (N, C, H, W), or component of vectors (N, D).

    Exact for uint8 before the final rounding to float32. A constant channel gets the deviation 1: it normalises to 0.
    """
    exact = torch.int64 if x_N.dtype == torch.uint8 else torch.float64
    others = (0, *range(2, x_N.ndim))
    total, squares = (torch.zeros(x_N.shape[1], dtype=exact) for _ in range(2))
    for chunk in x_N.split(_CHUNK):
        wide = chunk.to(torch.int32 if exact == torch.int64 else exact)
        total += wide.sum(others)
        squares += wide.square_().sum(others)
    count = x_N.numel() // x_N.shape[1]
    mean = total.double() / count
    # Integers up to 255² · 10⁹ stay exact in float64, so only the final difference rounds.
    std = ((squares.double() - total.double() * mean) / count).clamp(min=0).sqrt()
    return mean.float(), torch.where(std > 0, std, 1.0).float()
