"""Features and their statistics to the summaries that plots need: one more pass over the logits of an epoch.

Shapes: N samples, B rows of a block, K classes, D feature dimension, S splits, M bins, R = min(K−1, D).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix.mix import one_hot
from ncmix.numerics import arithmetic
from ncmix.results import ArraySet, Spectra, Summary
from ncmix.spec.measuring import MOST_CLASSES, MOST_DIRECTIONS
from ncmix.stats import ClassMeans, Statistics
from ncmix.stats.chunks import blocks

# Those of the metric `ece`.
BINS = 15

Features = Mapping[str, tuple[Tensor, Tensor]]
"""Features (N, D) and labels (N,) by split."""


@dataclass(frozen=True, eq=False)
class Classifier:
    """W (K, D), b (K,) or None, what the classes are called, and whether softmax(Wh + b) is meant as a probability."""

    w_KD: Tensor
    b_K: Tensor | None
    class_names: tuple[str, ...]
    softmax: bool = True


def summarise(
    features: Features, statistics: Mapping[str, Statistics], classifier: Classifier, *, last: bool
) -> tuple[ArraySet, ...]:
    """The sets `summary` and `spectrum` of an epoch; `last`, of the last one that is measured, at any size.

    `statistics` are those of the same features with the same classifier, by split, their spectrum included.

    Of features or a classifier that are not all finite there is none.
    """
    device = classifier.w_KD.device
    with torch.no_grad(), arithmetic("ieee"), torch.autocast(device.type, enabled=False):
        known = all(torch.isfinite(t).all() for t in (classifier.w_KD, classifier.b_K) if t is not None)
        if not known or not all(s.means.finite for s in statistics.values()):
            return ()
        sets = [
            _summary(features, statistics, classifier, square=last or len(classifier.w_KD) <= MOST_CLASSES).to_set()
        ]
        if last or classifier.w_KD.shape[1] <= MOST_DIRECTIONS:
            sets.append(_spectra(statistics).to_set())
    return tuple(sets)


def _summary(
    features: Features, statistics: Mapping[str, Statistics], classifier: Classifier, *, square: bool
) -> Summary:
    judged = [_judge(h_ND, y_N, classifier) for h_ND, y_N in features.values()]
    centred = [_centred(s.means) for s in statistics.values()]
    weight_KD = classifier.w_KD.to(torch.float64)
    return Summary(
        splits=tuple(features),
        class_names=classifier.class_names,
        mean_norms=_host(torch.stack([c_KD.norm(dim=1) for c_KD in centred], 1)),
        weight_norms=_host(weight_KD.norm(dim=1)),
        mean_cosines=_host(torch.stack([_cosines(c_KD) for c_KD in centred], 1)) if square else None,
        weight_cosines=_host(_cosines(weight_KD)) if square else None,
        confusion=np.stack([c for c, _ in judged], 1) if square else None,
        bins=np.stack([b for _, b in judged]) if classifier.softmax else None,
    )


def _centred(means: ClassMeans) -> Tensor:
    """M̃ (K, D); NaN if a class is absent."""
    return torch.full_like(means.mean_KD, torch.nan) if means.gap else means.centred


def _cosines(v_KD: Tensor) -> Tensor:
    """(K, K); NaN for a row of zeros."""
    unit_KD = v_KD / v_KD.norm(dim=1, keepdim=True)
    return unit_KD @ unit_KD.T


def _judge(h_ND: Tensor, y_N: Tensor, classifier: Classifier) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Samples by true and guessed class (K, K), and samples, confidence and hits by bin (M, 3)."""
    classes, (w_KD, b_K) = len(classifier.w_KD), (classifier.w_KD, classifier.b_K)
    pairs = torch.zeros(classes**2, dtype=torch.int64, device=h_ND.device)
    bins_3M = torch.zeros(3, BINS, dtype=torch.float64, device=h_ND.device)
    for h_BD, y_B in blocks([(h_ND, y_N)], 3 * classes):
        z_BK = h_BD @ w_KD.to(h_BD.dtype).T
        z_BK = z_BK if b_K is None else z_BK + b_K.to(h_BD.dtype)
        guess_B = z_BK.argmax(1)
        pairs.index_add_(0, y_B * classes + guess_B, torch.ones_like(y_B))
        bins_3M += _binned(z_BK, guess_B == y_B)
    return pairs.view(classes, classes).cpu().numpy().astype(np.int32), bins_3M.T.cpu().numpy()


def _binned(z_BK: Tensor, right_B: Tensor) -> Tensor:
    """(3, M): samples, confidence and hits. Bins (lo, hi] of confidence are bins [lo, hi) of doubt, 1 − confidence."""
    doubt_B = 1 - torch.softmax(z_BK.to(torch.float64), 1).amax(1)
    bin_B = BINS - 1 - (BINS * doubt_B).to(torch.int64).clamp(0, BINS - 1)
    each = (torch.ones_like(doubt_B), 1 - doubt_B, right_B)
    # A product, not bincount: that waits for the device, and on a GPU adds in any order.
    return torch.stack([weight.to(torch.float64) for weight in each]) @ one_hot(bin_B, BINS, torch.float64)


def _spectra(statistics: Mapping[str, Statistics]) -> Spectra:
    within = [_within(s) for s in statistics.values()]
    between = [_between(s.means) for s in statistics.values()]
    return Spectra(tuple(statistics), _host(torch.stack(between, 1)), _host(torch.stack(within, 1)))


def _between(means: ClassMeans) -> Tensor:
    """(D,) singular values of M̃ over √K, then NaN."""
    found_D = torch.full_like(means.mean_KD[0], torch.nan)
    if not means.gap:
        s_R = means.spectrum.s_R
        found_D[: len(s_R)] = s_R / len(means.mean_KD) ** 0.5
    return found_D


def _within(s: Statistics) -> Tensor:
    """(D,) roots of the eigenvalues of Σ_W = (1/N) Σ (h − μ_y)(h − μ_y)ᵀ."""
    found_D = torch.zeros_like(s.means.mean_KD[0])
    if s.spread is None:
        raise ValueError("The spectrum within classes needs statistics with all singular values.")
    within_R = s.spread.within
    found_D[: len(within_R)] = within_R / s.samples**0.5
    return found_D


def _host(t: Tensor) -> NDArray[np.float32]:
    return t.to(torch.float32).cpu().numpy()
