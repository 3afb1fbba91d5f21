"""The second pass: what the samples do around their class means."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from ncmix.numerics import arithmetic
from ncmix.stats.chunks import Chunks, StatisticsError, blocks
from ncmix.stats.decisions import Decisions, Judge
from ncmix.stats.means import ClassMeans, class_means
from ncmix.stats.products import gram, squared_norms
from ncmix.stats.spread import Spread, spread
from ncmix.stats.temperature import Leads

# With fewer classes than this one product of all columns is faster than one for each part, with more it is not.
_NARROW = 64

# Rows of a matrix that are this many numbers long, or a multiple, begin where a CPU's product likes them to.
_ALIGNED = 8


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
        return bool(torch.isfinite(self.w_KD).all())

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
        known_KD = means.mean_KD if reference_KD is None else reference_KD.detach().to(device, torch.float64)
        second = _second_pass(chunks, means, w_KD, b_K, known_KD, extras)
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
    chunks: Chunks, means: ClassMeans, w_KD: Tensor, b_K: Tensor, known_KD: Tensor, extras: Extras
) -> Statistics:
    referenced = bool(torch.isfinite(known_KD).all(1).any())
    image_KK = means.filled @ w_KD.T
    sums, whitened = _Sums(means, extras), math.nan
    if means.finite:
        rules = _rules(means, w_KD, image_KK + b_K, known_KD if referenced else means.mean_KD)
        for h_BD, y_B in blocks(chunks, 5 * len(w_KD)):
            sums.add(rules, h_BD, y_B)
        sums.settle(rules)
        whitened = float(sums.whitened) if rules.white_DR.shape[1] else math.nan
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


@dataclass(frozen=True, eq=False)
class _Rules:
    """What is asked of every deviation d = h − c_y, in the precision of the features.

    Attributes:
        shift_KD: c, the class means rounded to that precision; zero for an absent class.
        white_DR: (S⁻¹Vᵀ)ᵀ, no columns where it is unknown, perhaps some of zeros at its end.
        w_DK: Wᵀ.
        more_DK: −2m_k as columns, none if `near_RK` is there.
        logit_KK: row y holds Wμ_y + b, to which Wd is added.
        near_KK: row y holds ‖μ_y − m_k‖², to which −2⟨d, m_k⟩ is added: the squared distances of h to the reference
            means m_k, but for a term common to all k.
        near_RK: takes S⁻¹Vᵀd to −2⟨d, m_k⟩ where the m_k are the split's own means; it saves a product with D rows.
    """

    shift_KD: Tensor
    white_DR: Tensor
    w_DK: Tensor
    more_DK: Tensor
    logit_KK: Tensor
    near_KK: Tensor
    near_RK: Tensor | None

    @cached_property
    def joined(self) -> Tensor:
        """What d is multiplied by, side by side."""
        return torch.cat([self.white_DR, self.w_DK, self.more_DK], 1)

    def asked(self, d_BD: Tensor, y_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """S⁻¹Vᵀd (B, R), the logits (B, K), and the squared distances (B, K) but for the common term."""
        z_BK, near_BK = self.logit_KK.index_select(0, y_B), self.near_KK.index_select(0, y_B)
        if len(self.shift_KD) < _NARROW:
            parts = [part.shape[1] for part in (self.white_DR, self.w_DK, self.more_DK)]
            t_BR, wd_BK, more_BK = (d_BD @ self.joined).split(parts, dim=1)
            z_BK += wd_BK
        else:
            t_BR, more_BK = d_BD @ self.white_DR, d_BD @ self.more_DK
            z_BK.addmm_(d_BD, self.w_DK)
        return t_BR, z_BK, near_BK.add_(more_BK) if self.near_RK is None else near_BK.addmm_(t_BR, self.near_RK)


def _rules(means: ClassMeans, w_KD: Tensor, logit_KK: Tensor, known_KD: Tensor) -> _Rules:
    none_D0 = w_KD.T[:, :0]
    white_DR, near_RK, more_DK = none_D0, None, none_D0
    spectrum = None if means.gap or means.spectrum.deficient else means.spectrum
    if spectrum:
        white_DR = means.centred.T @ _aligned(spectrum.u_KR / spectrum.s_R**2)
    if spectrum and torch.equal(known_KD, means.mean_KD):
        near_RK = -2 * _aligned(spectrum.u_KR * spectrum.s_R**2).T
        square_K = means.gram.diagonal()
        near_KK = square_K[:, None] + square_K - 2 * means.gram
    else:
        near_KK, more_DK = _distance_rule(means, known_KD)
    return _Rules(
        shift_KD=means.filled.to(means.dtype),
        white_DR=white_DR.to(means.dtype),
        w_DK=w_KD.T.to(means.dtype),
        more_DK=more_DK.to(means.dtype),
        logit_KK=logit_KK.to(means.dtype),
        near_KK=near_KK.to(means.dtype),
        near_RK=None if near_RK is None else near_RK.to(means.dtype),
    )


def _aligned(m_KR: Tensor) -> Tensor:
    """With columns of zeros at the end, where that makes products with many columns faster."""
    return pad(m_KR, (0, -m_KR.shape[1] % _ALIGNED)) if len(m_KR) >= _NARROW else m_KR


def _distance_rule(means: ClassMeans, known_KD: Tensor) -> tuple[Tensor, Tensor]:
    """‖μ_y − m_k‖² (K, K), infinite where m_k is not known, and −2(m_k − m̄) as columns (D, K)."""
    known_K = torch.isfinite(known_KD).all(1)
    origin_D = known_KD[known_K].mean(0)  # distances do not mind; digits do
    known_KD = torch.where(known_K[:, None], known_KD - origin_D, 0.0)
    mean_KD = means.filled - origin_D
    near_KK = (mean_KD**2).sum(1)[:, None] + (known_KD**2).sum(1) - 2 * mean_KD @ known_KD.T
    return near_KK.masked_fill(~known_K, torch.inf), -2 * known_KD.T


class _Sums:
    """What the second pass adds up, on the device of the features."""

    def __init__(self, means: ClassMeans, extras: Extras) -> None:
        self.means = means
        self.scatter_K = torch.zeros_like(means.mean_KD[:, 0])
        self.whitened = self.scatter_K.new_zeros(())
        leads = Leads(means.samples, len(means.count_K)) if extras.temperature else None
        self.judge = Judge(means, extras.calibration, leads)
        self.d_BD = means.mean_KD.new_empty(0, means.mean_KD.shape[1], dtype=means.dtype)

    def add(self, rules: _Rules, h_BD: Tensor, y_B: Tensor) -> None:
        d_BD = self._deviations(rules, h_BD, y_B)
        self._add_by_class(y_B, squared_norms(d_BD))
        t_BR, z_BK, near_BK = rules.asked(d_BD, y_B)
        self.whitened += squared_norms(t_BR).sum()
        self.judge.add(z_BK, near_BK, y_B)

    def _deviations(self, rules: _Rules, h_BD: Tensor, y_B: Tensor) -> Tensor:
        """d = h − c_y, in memory used again for every block."""
        if len(h_BD) > len(self.d_BD):
            self.d_BD = self.d_BD.new_empty(h_BD.shape)
        d_BD = torch.index_select(rules.shift_KD, 0, y_B, out=self.d_BD[: len(h_BD)])
        return torch.sub(h_BD, d_BD, out=d_BD)

    def _add_by_class(self, y_B: Tensor, value_B: Tensor) -> None:
        if value_B.device.type == "cpu":
            self.scatter_K.index_add_(0, y_B, value_B)
        else:  # in one order, run to run
            one_hot_BK = y_B[:, None] == torch.arange(len(self.scatter_K), device=y_B.device)
            self.scatter_K += value_B @ one_hot_BK.to(torch.float64)

    def settle(self, rules: _Rules) -> None:
        """Takes out what the rounding of the means c added (Chan, Golub, LeVeque 1983, the corrected two-pass sums)."""
        error_KD = self.means.filled - rules.shift_KD
        count_K = self.means.count_K.to(torch.float64)
        self.scatter_K = (self.scatter_K - count_K * error_KD.square().sum(1)).clamp(min=0)
        # A few digits of so small a number do.
        white_KR = error_KD.to(rules.white_DR.dtype) @ rules.white_DR
        self.whitened = (self.whitened - count_K @ squared_norms(white_KR)).clamp(min=0)
