"""Calibration: whether the network is right as often as it is sure. Its probabilities are p = softmax(z)."""

import torch
from torch import Tensor

from ncmix.metrics.common import require_decisions
from ncmix.stats import Statistics, UndefinedError

BINS = 15


def brier(s: Statistics) -> float:
    """Mean over samples of Σ_k (p_k − [k = y])², from 0 to 2 (Brier 1950)."""
    _confidence(s)
    return s.decisions.brier / s.samples


def ece(s: Statistics) -> float:
    """Σ over 15 equal-width bins (lo, hi] of (n_bin/N)·|accuracy − mean confidence|, confidence max_k p_k (Guo 2017).

    The last bin includes 1.
    """
    return _equal_width(*_confidence(s))


def ece_adaptive(s: Statistics) -> float:
    """As `ece`, with 15 bins of equally many samples; equal confidences share a bin (Nguyen & O'Connor 2015)."""
    doubt_N, wrong_N = _confidence(s)
    last_M = (torch.arange(1, BINS, device=doubt_N.device) * len(doubt_N)).div(BINS, rounding_mode="floor") - 1
    edge_M = doubt_N.sort().values[last_M.clamp(min=0)]
    return _miscalibration(doubt_N, wrong_N, torch.searchsorted(edge_M, doubt_N))


def ece_scaled(s: Statistics) -> float:
    """`ece` of softmax(z/T) on the half of the test split that `temperature` T was not fitted on (Guo 2017)."""
    _confidence(s)
    doubt_N, wrong_N = s.decisions.scaled
    if not len(doubt_N):
        raise UndefinedError("no class has a second sample: none is left to score")
    return _equal_width(doubt_N.to(torch.float64), wrong_N)


def temperature(s: Statistics) -> float:
    """The T > 0 that minimises the cross-entropy of softmax(z/T) on every other sample of each class (Guo 2017).

    Of the test split, in the order of the data: the 1st, 3rd, 5th … sample of each class fit T, the others score it.
    """
    _confidence(s)
    return s.decisions.temperature


def _confidence(s: Statistics) -> tuple[Tensor, Tensor]:
    """1 − confidence in float64, and whether the sample is classified wrong; both (N,)."""
    require_decisions(s)
    if s.decisions.doubt_N is None or s.decisions.wrong_N is None:
        raise UndefinedError("calibration was not asked for")
    return s.decisions.doubt_N.to(torch.float64), s.decisions.wrong_N


def _equal_width(doubt_N: Tensor, wrong_N: Tensor) -> float:
    # Bins [lo, hi) of 1 − confidence are bins (lo, hi] of confidence.
    return _miscalibration(doubt_N, wrong_N, (BINS * doubt_N).to(torch.int64))


def _miscalibration(doubt_N: Tensor, wrong_N: Tensor, bin_N: Tensor) -> float:
    """Errors against doubts: accuracy − confidence would be all rounding where both are nearly 1."""
    surprise_N = wrong_N.to(torch.float64) - doubt_N
    return sum(abs(float((surprise_N * (bin_N == m)).sum())) for m in range(BINS)) / len(doubt_N)
