"""The second pass: what the samples do around their class means."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from ncmix.numerics import arithmetic
from ncmix.stats.chunks import Chunks, StatisticsError, blocks
from ncmix.stats.decisions import Decisions, Judge
from ncmix.stats.means import ClassMeans, class_means
from ncmix.stats.products import gram
from ncmix.stats.rows import finite_rows, squared_norms
from ncmix.stats.rules import Rules, rules
from ncmix.stats.spread import Spread, spread
from ncmix.stats.temperature import Leads


@dataclass(frozen=True)
class Extras:
    """What is found out beside the class statistics; each has a cost of its own.

    Attributes:
        calibration: how sure the network is: a few operations on every logit.
        temperature: the best temperature: keeps up to `temperature.MOST_LOGITS` logits; of more, an even share.
        spectrum: all singular values of the features: a pass of O(ND²) time.
    """

    calibration: bool = True
    temperature: bool = True
    spectrum: bool = True


@dataclass(frozen=True, eq=False)
class Statistics:
    """All that the metrics need to know of a split. Of features that are not all finite nothing is added up.

    Attributes:
        means: the first pass.
        w_KD, b_K: the classifier in float64; b is zero where it has none.
        image_KK: Wμ_k as row k, float64.
        scatter_K: Σ‖h − μ_k‖² over the samples of each class, float64.
        whitened: Σ‖S⁻¹Vᵀ(h − μ_y)‖² over all samples; NaN if M̃ is unknown or deficient.
        decisions: what the network and the nearest class mean make of the samples.
        spread: all singular values, of the features and of their deviations from class means; None if they were not
            asked for or a feature is not finite.
        referenced: whether any class had a finite mean to be nearest to.
    """

    means: ClassMeans
    w_KD: Tensor
    b_K: Tensor
    image_KK: Tensor
    scatter_K: Tensor
    whitened: float
    decisions: Decisions
    spread: Spread | None
    referenced: bool

    @property
    def samples(self) -> int:
        """N."""
        return self.means.samples

    @cached_property
    def finite_weights(self) -> bool:
        """Whether every entry of W is a number."""
        return bool(finite_rows(self.w_KD).all())

    @cached_property
    def weight_norms(self) -> Tensor:
        """‖w_k‖ (K,)."""
        return torch.linalg.norm(self.w_KD, dim=1)

    @cached_property
    def weight_gram(self) -> Tensor:
        """WWᵀ (K, K)."""
        return gram(self.w_KD)

    @cached_property
    def cross(self) -> Tensor:
        """WM̃ᵀ (K, K).

        Raises:
            UndefinedError: as `means.centre`.
        """
        return self.image_KK.T - self.w_KD @ self.means.centre[:, None]


def statistics(
    chunks: Chunks,
    w_KD: Tensor,
    b_K: Tensor | None = None,
    reference_KD: Tensor | None = None,
    extras: Extras = Extras(),
) -> Statistics:
    """All passes over the features of a split: two, and one more for the spectrum.

    Args:
        chunks: features (B, D) of any floating type with labels (B,), all on one device.
        w_KD: classifier weights (K, D), on any device.
        b_K: classifier bias (K,), None for none.
        reference_KD: class means (K, D) for the nearest-mean rule, usually those of the training split; None for the
            split's own. A class whose row is not finite is never the nearest.
        extras: what else is to be found out.

    Raises:
        StatisticsError: shapes or labels do not fit together, or the chunks can be walked only once.
    """
    if isinstance(chunks, Iterator):
        raise StatisticsError("The chunks can be walked only once, but two passes are needed; give a list of them.")
    _check(w_KD, b_K, reference_KD)
    means = class_means(chunks, len(w_KD))
    device, dimension = means.mean_KD.device, means.mean_KD.shape[1]
    if dimension != w_KD.shape[1]:
        raise StatisticsError(f"The features have {dimension} columns, but W has {w_KD.shape[1]}.")
    # The caller may be training in bfloat16 or TF32; a measurement must not inherit that.
    with torch.no_grad(), arithmetic("ieee"), torch.autocast(device.type, enabled=False):
        w_KD = w_KD.detach().to(device, torch.float64)
        b_K = w_KD.new_zeros(len(w_KD)) if b_K is None else b_K.detach().to(device, torch.float64)
        if reference_KD is not None:
            reference_KD = reference_KD.detach().to(device, torch.float64)
        second = _second_pass(chunks, means, w_KD, b_K, reference_KD, extras)
        return replace(second, spread=spread(chunks, means)) if extras.spectrum and means.finite else second


def _check(w_KD: Tensor, b_K: Tensor | None, reference_KD: Tensor | None) -> None:
    if w_KD.ndim != 2:
        raise StatisticsError(f"W must be (K, D); it has the shape {tuple(w_KD.shape)}.")
    if b_K is not None and b_K.shape != w_KD.shape[:1]:
        raise StatisticsError(f"b must have shape ({len(w_KD)},), one a row of W; it has {tuple(b_K.shape)}.")
    if reference_KD is not None and reference_KD.shape != w_KD.shape:
        shapes = f"{tuple(reference_KD.shape)} and {tuple(w_KD.shape)}"
        raise StatisticsError(f"The reference means must have the shape of W; the two are {shapes}.")


def _second_pass(
    chunks: Chunks, means: ClassMeans, w_KD: Tensor, b_K: Tensor, reference_KD: Tensor | None, extras: Extras
) -> Statistics:
    referenced = bool(finite_rows(means.mean_KD if reference_KD is None else reference_KD).any())
    image_KK = means.filled @ w_KD.T
    sums, whitened = _Sums(means, extras), math.nan
    if means.finite:
        asking = rules(means, w_KD, image_KK + b_K, reference_KD if referenced else None)
        for h_BD, y_B in blocks(chunks, 5 * len(w_KD)):
            sums.add(asking, h_BD, y_B)
        sums.settle(asking)
        whitened = float(sums.whitened) if asking.white_DR.shape[1] else math.nan
    return Statistics(
        means=means,
        w_KD=w_KD,
        b_K=b_K,
        image_KK=image_KK,
        scatter_K=sums.scatter_K,
        whitened=whitened,
        decisions=sums.judge.decisions(),
        spread=None,
        referenced=referenced,
    )


class _Sums:
    """What the second pass adds up, on the device of the features."""

    def __init__(self, means: ClassMeans, extras: Extras) -> None:
        self.means = means
        self.scatter_K = torch.zeros_like(means.mean_KD[:, 0])
        self.whitened = self.scatter_K.new_zeros(())
        leads = Leads(means.samples, len(means.count_K)) if extras.temperature else None
        self.judge = Judge(means, extras.calibration, leads)
        self.d_BD = means.mean_KD.new_empty(0, means.mean_KD.shape[1], dtype=means.dtype)

    def add(self, asking: Rules, h_BD: Tensor, y_B: Tensor) -> None:
        d_BD = self._deviations(asking, h_BD, y_B)
        square_B = squared_norms(d_BD)
        self._add_by_class(y_B, square_B)
        t_BR, z_BK, nearest_B = asking.asked(d_BD, square_B.sqrt(), y_B)
        self.whitened += squared_norms(t_BR).sum()
        self.judge.add(z_BK, nearest_B, y_B)

    def _deviations(self, asking: Rules, h_BD: Tensor, y_B: Tensor) -> Tensor:
        """d = h − c_y, in memory used again for every block."""
        if len(h_BD) > len(self.d_BD):
            self.d_BD = self.d_BD.new_empty(h_BD.shape)
        d_BD = torch.index_select(asking.shift_KD, 0, y_B, out=self.d_BD[: len(h_BD)])
        return torch.sub(h_BD, d_BD, out=d_BD)

    def _add_by_class(self, y_B: Tensor, value_B: Tensor) -> None:
        if value_B.device.type == "cpu":
            self.scatter_K.index_add_(0, y_B, value_B)
        else:  # in one order, run to run
            one_hot_BK = y_B[:, None] == torch.arange(len(self.scatter_K), device=y_B.device)
            self.scatter_K += value_B @ one_hot_BK.to(torch.float64)

    def settle(self, asking: Rules) -> None:
        """Takes out what the rounding of the means c added (Chan, Golub, LeVeque 1983, the corrected two-pass sums)."""
        error_KD = self.means.filled - asking.shift_KD
        count_K = self.means.count_K.to(torch.float64)
        self.scatter_K = (self.scatter_K - count_K * error_KD.square().sum(1)).clamp(min=0)
        # A few digits of so small a number do.
        white_KR = error_KD.to(asking.white_DR.dtype) @ asking.white_DR
        self.whitened = (self.whitened - count_K @ squared_norms(white_KR)).clamp(min=0)
