"""What the metrics share: when they are undefined, and a little linear algebra."""

import math

import torch
from torch import Tensor

from ncmix.stats import Statistics, UndefinedError

# Of squares that make a difference of squares, this share is rounding.
EPSILON = torch.finfo(torch.float64).eps


def weights(s: Statistics) -> Tensor:
    """W (K, D), all finite."""
    if not s.finite_weights:
        raise UndefinedError("the classifier is not all finite")
    return s.w_KD


def require_weights(s: Statistics) -> None:
    """W is finite and not zero."""
    weights(s)
    if not s.weight_norms.any():
        raise UndefinedError("the classifier is zero")


def require_spread(s: Statistics) -> None:
    """M̃ is known and not zero."""
    if norm(s.means.norms) <= s.means.noise:
        raise UndefinedError("all class means coincide")


def require_features(s: Statistics) -> None:
    """Features are finite."""
    if not s.means.finite:
        raise UndefinedError(s.means.gap)


def require_logits(s: Statistics) -> None:
    """Features and classifier are finite."""
    weights(s)
    if not torch.isfinite(s.b_K).all():
        raise UndefinedError("the bias is not all finite")
    require_features(s)


def require_decisions(s: Statistics) -> None:
    """So are all logits, which may overflow where neither does."""
    require_logits(s)
    if not math.isfinite(s.decisions.nll):
        raise UndefinedError("the logits are not all finite")


def require_reference(s: Statistics) -> None:
    """Features are finite and there are class means to be near to."""
    require_features(s)
    if not s.referenced:
        raise UndefinedError("no class has a finite mean to be nearest to")


def weight_norms(s: Statistics) -> Tensor:
    """‖w_k‖ (K,), none zero."""
    weights(s)
    if zero := torch.nonzero(s.weight_norms == 0).flatten().tolist():
        raise UndefinedError(f"row {zero[0]} of the classifier is zero and has no direction")
    return s.weight_norms


def mean_norms(s: Statistics) -> Tensor:
    """‖μ_k − μ_G‖ (K,), none zero."""
    if zero := torch.nonzero(s.means.norms <= s.means.noise).flatten().tolist():
        raise UndefinedError(f"the mean of class {zero[0]} coincides with the global mean and has no direction")
    return s.means.norms


def norm(t: Tensor) -> float:
    """The root of the sum of squares."""
    return float(torch.linalg.norm(t))


def unit(t: Tensor) -> Tensor:
    """t over its norm."""
    return t / torch.linalg.norm(t)


def off_diagonal(m_KK: Tensor) -> Tensor:
    """The K(K−1) entries beside the diagonal, row by row."""
    # Without the first, the last of every K+1 is on the diagonal.
    return m_KK.flatten()[1:].view(len(m_KK) - 1, len(m_KK) + 1)[:, :-1].flatten()


def from_simplex(g_KK: Tensor) -> float:
    """‖G/‖G‖ − (I − 11ᵀ/K)/√(K−1)‖: how far G is, scale apart, from the Gram matrix of a simplex."""
    classes = len(g_KK)
    simplex_KK = (torch.eye(classes).to(g_KK) - 1 / classes) / (classes - 1) ** 0.5
    return norm(unit(g_KK) - simplex_KK)
