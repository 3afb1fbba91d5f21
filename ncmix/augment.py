"""Random variants of training pictures, made on the device for a whole batch at once.

Shapes: B batch, C channels, H height, W width; x_B is (B, C, H, W) uint8.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from ncmix.spec import Dataset, Gaussian

Augment = Callable[[Tensor, torch.Generator], Tensor]
"""(x_B, generator on the device of x_B) → x_B of the same shape and type."""


def build(dataset: Dataset) -> Augment:
    """The augmentation that the data set asks for; vectors have none."""
    return AUGMENTS["none" if isinstance(dataset, Gaussian) else dataset.augment]


def _none(x_B: Tensor, generator: torch.Generator) -> Tensor:
    return x_B


def _crop_flip(x_B: Tensor, generator: torch.Generator) -> Tensor:
    """Zero padding by an eighth, a random crop of the old size, a mirror image half the time (He et al. 2016)."""
    batch, channels, height, width = x_B.shape
    device = x_B.device
    top_B = torch.randint(2 * (height // 8) + 1, (batch, 1), generator=generator, device=device)
    left_B = torch.randint(2 * (width // 8) + 1, (batch, 1), generator=generator, device=device)
    flip_B = torch.randint(2, (batch, 1), generator=generator, device=device, dtype=torch.bool)
    across_W = torch.arange(width, device=device)
    rows_BH = top_B + torch.arange(height, device=device)
    columns_BW = left_B + torch.where(flip_B, across_W.flip(0), across_W)
    padded_B = pad(x_B, (width // 8, width // 8, height // 8, height // 8))
    pixels_BHW = rows_BH[:, :, None] * padded_B.shape[3] + columns_BW[:, None, :]
    return padded_B.flatten(2).gather(2, pixels_BHW.flatten(1)[:, None].expand(-1, channels, -1)).view_as(x_B)


AUGMENTS: dict[str, Augment] = {"none": _none, "crop_flip": _crop_flip}
