"""The losses and hits of an epoch's own batches, summed on the device: reading them is its one synchronisation.

Shapes: B batch, K classes.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ncmix.ranks import Ranks
from ncmix.results import Metric


class Running:
    """Sums over an epoch: of losses, of hits, of samples.

    `own` (3,) are those of this rank's shares, `_of_all` those of all ranks up to the last `share`.
    """

    def __init__(self, device: torch.device) -> None:
        self.own, self._of_all = torch.zeros(2, 3, dtype=torch.float64, device=device)

    def clear(self) -> None:
        """Begin an epoch."""
        self.own.zero_()
        self._of_all = torch.zeros_like(self.own)

    def add(self, loss_B: Tensor, z_BK: Tensor, y_BK: Tensor) -> None:
        """Add a batch's, always to the same memory: so a recorded step can."""
        correct = (z_BK.argmax(1) == y_BK.argmax(1)).sum()
        self.own += torch.stack([loss_B.sum(dtype=torch.float64), correct, torch.full_like(correct, len(loss_B))])

    def share(self, ranks: Ranks) -> None:
        """Add up what the ranks have."""
        self._of_all = ranks.add(self.own)

    def metrics(self, epoch: int, rate: float) -> tuple[Metric, ...]:
        """The mean loss and accuracy (under mixup: of the dominant label) of `epoch`, and its last learning rate.

        Raises:
            FloatingPointError: the loss is not finite.
        """
        loss, correct, samples = self._of_all.tolist()
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"The training diverged: the loss of epoch {epoch} is {loss}. A smaller optimizer.lr may help."
            )
        return (
            Metric("running", "loss", loss / samples),
            Metric("running", "accuracy", correct / samples),
            Metric("running", "lr", rate),
        )

    def state(self) -> dict[str, Any]:
        """The sums of all ranks."""
        return {"loss_correct": self._of_all[:2].clone(), "samples": int(self._of_all[2])}

    def load_state(self, state: Mapping[str, Any], ranks: Ranks) -> None:
        """Go on from these: one rank has them all."""
        loss_correct = state["loss_correct"]
        self._of_all = torch.cat([loss_correct, loss_correct.new_tensor([state["samples"]])]).to(self.own)
        self.own.copy_(self._of_all * ranks.leads)
