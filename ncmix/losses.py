"""Training objectives, per sample and with soft targets: the loss of a mixture is the loss at the mixed target.

Shapes: B batch, K classes, D feature dimension; targets y_BK with rows that sum to one; p = softmax(z).

Where a definition speaks of the true class t, its value at a soft target is the mean over t with the weights y. Then,
as for cross-entropy, the loss at the mixed target equals the mixture of the losses at both labels. For MSE the two
differ by a constant, for MAE and smooth L1 truly: the soft target is the definition here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize, smooth_l1_loss

from ncmix.spec.objective import (
    Bce,
    CrossEntropy,
    DotRegression,
    Focal,
    Loss,
    Mae,
    Mse,
    RescaledMse,
    SmoothL1,
    Squentropy,
    SupCon,
)


@dataclass(frozen=True)
class Outputs:
    """What a loss can look at: features h (B, D), logits z (B, K), the classifier's rows w (K, D)."""

    h_BD: Tensor
    z_BK: Tensor
    w_KD: Tensor


PerSample = Callable[[Outputs, Tensor], Tensor]
"""(outputs, y_BK) → loss_B, in the wider of both types: bf16 outputs meet float32 targets in float32."""

OfLogits = Callable[[Tensor, Tensor], Tensor]
"""(z_BK, y_BK) → loss_B, of the same type: nearly every loss looks at the logits only."""


def build(loss: Loss) -> PerSample:
    """The objective that the spec names."""
    per_sample = LOSSES[loss.kind](loss)

    def widened(outputs: Outputs, y_BK: Tensor) -> Tensor:
        wide = (t.to(torch.promote_types(t.dtype, y_BK.dtype)) for t in (outputs.h_BD, outputs.z_BK, outputs.w_KD))
        return per_sample(Outputs(*wide), y_BK)

    return widened


def _of_logits(of_logits: OfLogits) -> PerSample:
    return lambda outputs, y_BK: of_logits(outputs.z_BK, y_BK)


def _cross_entropy(loss: CrossEntropy) -> PerSample:
    """−Σ_k y_k log p_k; smoothing ε first turns y into (1−ε)y + ε/K (Szegedy et al. 2016)."""
    return _of_logits(lambda z, y: cross_entropy(z, y, reduction="none", label_smoothing=loss.label_smoothing))


def _mse(loss: Mse) -> PerSample:
    """(1/K) Σ_k (z_k − s·y_k)² (Zhou et al. 2022)."""
    return _of_logits(lambda z, y: (z - loss.scale * y).square().mean(1))


def _rescaled_mse(loss: RescaledMse) -> PerSample:
    """(1/K) Σ_t y_t [κ(z_t − M)² + Σ_{j≠t} z_j²] (Hui & Belkin 2021)."""
    return _of_logits(lambda z, y: (y * loss.kappa * (z - loss.margin).square() + (1 - y) * z.square()).mean(1))


def _focal(loss: Focal) -> PerSample:
    """−Σ_k y_k (1 − p_k)^γ log p_k (Lin et al. 2017)."""

    def of_logits(z_BK: Tensor, y_BK: Tensor) -> Tensor:
        log_p_BK = z_BK.log_softmax(1)
        # 1 − p without cancellation; kept above 0, where a power below one has no derivative.
        rest_BK = (-torch.expm1(log_p_BK)).clamp_min(torch.finfo(z_BK.dtype).tiny)
        return -(y_BK * rest_BK**loss.gamma * log_p_BK).sum(1)

    return _of_logits(of_logits)


def _squentropy(loss: Squentropy) -> PerSample:
    """−Σ_k y_k log p_k + (1/(K−1)) Σ_t y_t Σ_{j≠t} z_j² (Hui, Belkin, Wright 2023)."""

    def of_logits(z_BK: Tensor, y_BK: Tensor) -> Tensor:
        others_B = ((1 - y_BK) * z_BK.square()).sum(1) / max(z_BK.shape[1] - 1, 1)
        return cross_entropy(z_BK, y_BK, reduction="none") + others_B

    return _of_logits(of_logits)


def _bce(loss: Bce) -> PerSample:
    """Σ_k [softplus(z_k) − y_k z_k]."""
    return _of_logits(lambda z, y: binary_cross_entropy_with_logits(z, y, reduction="none").sum(1))


def _mae(loss: Mae) -> PerSample:
    """(1/K) Σ_k (1 + (κ−1) y_k)·|p_k − y_k| (Ghosh, Kumar, Sastry 2017)."""
    return _of_logits(lambda z, y: ((1 + (loss.kappa - 1) * y) * (z.softmax(1) - y).abs()).mean(1))


def _smooth_l1(loss: SmoothL1) -> PerSample:
    """(1/K) Σ_k of d²/(2β) where d = |z_k − y_k| < β, d − β/2 elsewhere (Girshick 2015)."""
    return _of_logits(lambda z, y: smooth_l1_loss(z, y, reduction="none", beta=loss.beta).mean(1))


def _dot_regression(loss: DotRegression) -> PerSample:
    """Σ_t y_t (⟨h, w_t⟩ − √(E_W E_H))² / (2√(E_W E_H)), h and w first scaled to ‖h‖² = E_H, ‖w‖² = E_W.

    (Yang et al. 2022.) With the lengths given the angles alone decide; the logits play no part.
    """
    target = (loss.e_w * loss.e_h) ** 0.5

    def per_sample(outputs: Outputs, y_BK: Tensor) -> Tensor:
        dot_BK = target * normalize(outputs.h_BD) @ normalize(outputs.w_KD).T
        return (y_BK * (dot_BK - target).square()).sum(1) / (2 * target)

    return per_sample


def _supcon(loss: SupCon) -> PerSample:
    """−Σ_a s_ia log softmax_a(⟨ĥ_i, ĥ_a⟩/τ) over all a ≠ i of the batch, s_ia ∝ ⟨y_i, y_a⟩ (Khosla et al. 2020, L_out).

    With hard labels s_i is uniform over the samples that share the label of i; without any, the loss of i is zero.
    One view a sample, no projection. Only the features are trained: judge them by ncc_accuracy.
    """

    def per_sample(outputs: Outputs, y_BK: Tensor) -> Tensor:
        h_BD = normalize(outputs.h_BD)
        itself_BB = torch.eye(len(h_BD), dtype=torch.bool, device=h_BD.device)
        # Not −∞: a batch of one would have nothing to normalise by.
        similarity_BB = h_BD @ h_BD.T / loss.temperature
        similarity_BB = similarity_BB.masked_fill(itself_BB, torch.finfo(similarity_BB.dtype).min)
        shared_BB = (y_BK @ y_BK.T).masked_fill(itself_BB, 0)
        share_BB = shared_BB / shared_BB.sum(1, keepdim=True).clamp_min(torch.finfo(h_BD.dtype).tiny)
        return -(share_BB * similarity_BB.log_softmax(1)).sum(1)

    return per_sample


LOSSES: dict[str, Callable[[Any], PerSample]] = {
    "cross_entropy": _cross_entropy,
    "mse": _mse,
    "rescaled_mse": _rescaled_mse,
    "focal": _focal,
    "squentropy": _squentropy,
    "bce": _bce,
    "mae": _mae,
    "smooth_l1": _smooth_l1,
    "dot_regression": _dot_regression,
    "supcon": _supcon,
}

# The losses that fit p = softmax(z). The others fit z itself (mse, rescaled_mse, smooth_l1), angles (dot_regression),
# features alone (supcon), or a yes or no for each class (bce): there softmax(z) is no probability to be calibrated.
SOFTMAX = frozenset({"cross_entropy", "focal", "squentropy", "mae"})
