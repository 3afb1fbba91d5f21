"""Whole splits brought to another size, in batches.

Shapes: N samples, C channels, H height, W width, S the wanted height and width.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from ncmix.datasets.base import Whole
from ncmix.datasets.raw import Raw

_BATCH = 1024


def resized(raw: Raw, image_size: int | None) -> Raw:
    """Both splits with pictures (N, C, S, S), bilinear and antialiased: Pillow's values, ±1. None leaves them alone."""
    if image_size is None or raw.train.x.shape[2:] == (image_size, image_size):
        return raw
    train, test = (Whole(_resized(split.x, image_size), split.y) for split in (raw.train, raw.test))
    return Raw(train, test, raw.classes)


def _resized(x_N: Tensor, size: int) -> Tensor:
    small_N = torch.empty((*x_N.shape[:2], size, size), dtype=torch.uint8)
    for x_B, small_B in zip(x_N.split(_BATCH), small_N.split(_BATCH), strict=True):
        small_B.copy_(interpolate(x_B, (size, size), mode="bilinear", antialias=True))
    return small_N
