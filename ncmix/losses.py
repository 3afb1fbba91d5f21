"""Training objectives, per sample and with soft targets: the loss of a mixture is the loss at the mixed target.

Shapes: B batch, K classes; logits z_BK, targets y_BK with rows that sum to one.

For cross-entropy the loss at the mixed target equals the mixture of the losses at both labels; for MSE the two differ
by a constant, for other losses truly. The soft target is the definition here.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from ncmix.spec import CrossEntropy, Loss, Mse

PerSample = Callable[[Tensor, Tensor], Tensor]
"""(z_BK, y_BK) → loss_B, in the wider of both types: bf16 logits meet float32 targets in float32."""


def build(loss: Loss) -> PerSample:
    """The objective that the spec names."""
    return LOSSES[loss.kind](loss)


def _cross_entropy(loss: CrossEntropy) -> PerSample:
    """−Σ_k y_k log p_k; smoothing ε first turns y into (1−ε)y + ε/K (Szegedy et al. 2016)."""

    def per_sample(z_BK: Tensor, y_BK: Tensor) -> Tensor:
        z_BK = _widened(z_BK, y_BK)
        return cross_entropy(z_BK, y_BK, reduction="none", label_smoothing=loss.label_smoothing)

    return per_sample


def _mse(loss: Mse) -> PerSample:
    """(1/K) Σ_k (z_k − s·y_k)² (Zhou et al. 2022)."""

    def per_sample(z_BK: Tensor, y_BK: Tensor) -> Tensor:
        return (_widened(z_BK, y_BK) - loss.scale * y_BK).square().mean(1)

    return per_sample


def _widened(z_BK: Tensor, y_BK: Tensor) -> Tensor:
    return z_BK.to(torch.promote_types(z_BK.dtype, y_BK.dtype))


LOSSES: dict[str, Callable[[Any], PerSample]] = {"cross_entropy": _cross_entropy, "mse": _mse}
