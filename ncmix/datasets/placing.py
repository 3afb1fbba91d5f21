"""Where the samples of a run lie: whole on the device where they fit, streamed to it where they do not.

Shapes: N samples.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ncmix import memory
from ncmix.datasets.base import Split, Whole
from ncmix.datasets.streamed import Streamed


@dataclass(frozen=True)
class Chosen:
    """What a run uses of a split: the rows `kept_N` of the inputs x as published (None: all), and their labels y_N."""

    x: Tensor
    kept_N: Tensor | None
    y_N: Tensor

    @property
    def bytes(self) -> int:
        """The size of the inputs that are used."""
        return len(self.y_N) * self.x[0].nbytes

    def whole(self, device: torch.device, copied: bool) -> Split:
        """As tensors on the device; `copied` even if they are there already."""
        x_N = self.x if self.kept_N is None else self.x[self.kept_N]
        return Whole(x_N.to(device, copy=copied and self.kept_N is None), self.y_N.to(device))

    def streamed(self, device: torch.device) -> Split:
        """As batches on demand."""
        return Streamed(self.x, self.kept_N, self.y_N, device)


def placed(chosen: tuple[Chosen, Chosen], device: torch.device, mapped: bool, limit: int | None) -> tuple[Split, Split]:
    """Both splits where they shall lie.

    Args:
        chosen: training and test split.
        device: where batches are used.
        mapped: whether the inputs are mapped from a file rather than in the host's memory.
        limit: how many bytes of inputs may lie on the device; None for half of what is free there.
    """
    train, test = chosen
    if train.bytes + test.bytes <= (_room(device, mapped) if limit is None else limit):
        return train.whole(device, mapped), test.whole(device, mapped)
    return train.streamed(device), test.streamed(device)


def _room(device: torch.device, mapped: bool) -> float:
    """Half of the free memory: the network, its gradients and its activations need the rest."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0] / 2
    return memory.available() / 2 if mapped else float("inf")
