"""The closed-form optimum of unconstrained features under mixup, to lay over what networks do.

The model (Fisher, Meng, Papyan 2024, Theorem 3.1): a fixed simplex ETF classifier with K rows, ‖w_k‖² = m,
⟨w_k, w_l⟩ = −m/(K−1), no bias; for every mixture λ of classes i ≠ j the feature h that minimises

    CE(softmax(Wh), λe_i + (1−λ)e_j) + (λ_H/2)‖h‖².

Stationarity is z = κ(y − p) with κ = mK/((K−1)λ_H). Hence κp + ln p = κy + c for one c, that is p = 𝓦(κe^{c+κy})/κ with
𝓦 the Lambert function, and c is fixed by Σp = 1. The features follow without cancellation from
κ(λ − p_i + q) = ln(p_i/q), q the probability of every other class:

    h = (K−1)/(mK) · [ln(p_i/q) w_i + ln(p_j/q) w_j].

λ = 1 (or 0) is a mixture within one class, whatever its λ. Everything is float64 and broadcasts; numpy only.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ncmix.errors import NcmixError

Array = NDArray[np.float64]


class TheoryError(NcmixError, ValueError):
    """The model has no such parameter; the message is a sentence."""


@dataclass(frozen=True)
class Optimum:
    """The optimal feature of a mixture λ of classes i and j, every entry in the broadcast shape of the parameters.

    Attributes:
        p_i, p_j: probabilities of the two classes; q: of each of the K − 2 others (of none, if K = 2).
        along_i, along_j: the coefficients in h = along_i·w_i + along_j·w_j.
        norm: ‖h‖.
        gap: z_i − z_j = ln(p_i/p_j).
    """

    p_i: Array
    p_j: Array
    q: Array
    along_i: Array
    along_j: Array
    norm: Array
    gap: Array


def optimum(classes: int, m: ArrayLike, lambda_h: ArrayLike, lam: ArrayLike) -> Optimum:
    """The optimum of `classes` classes at squared classifier norm m, feature decay λ_H and mixing share λ of class i.

    Raises:
        TheoryError: fewer than 2 classes, m or λ_H not positive and finite, or λ outside [0, 1].
    """
    m, lambda_h, lam = (np.asarray(a, np.float64) for a in (m, lambda_h, lam))
    _check(classes, m, lambda_h, lam)
    kappa = m * classes / ((classes - 1) * lambda_h)
    log_i, log_j, log_q = log_probabilities(classes, kappa, lam)
    scale = (classes - 1) / (classes * m)
    along_i = scale * _difference(log_i, log_q, kappa, lam)
    along_j = scale * _difference(log_j, log_q, kappa, 1 - lam)
    # ‖a w_i + b w_j‖² = m(a² + b² − 2ab/(K−1)), written as a sum so that K = 2, a = b gives exactly zero.
    square = (along_i - along_j) ** 2 + 2 * along_i * along_j * (classes - 2) / (classes - 1)
    return Optimum(
        p_i=np.exp(log_i),
        p_j=np.exp(log_j),
        q=np.exp(log_q),
        along_i=along_i,
        along_j=along_j,
        norm=np.sqrt(m * square),
        gap=_difference(log_i, log_j, kappa, 2 * lam - 1),
    )


def same_class(classes: int, m: ArrayLike, lambda_h: ArrayLike) -> Optimum:
    """The optimum of mixtures within class i, which does not depend on λ: all along w_i (p_j = q, along_j = 0)."""
    return optimum(classes, m, lambda_h, 1.0)


def log_probabilities(classes: int, kappa: Array, lam: Array) -> tuple[Array, Array, Array]:
    """ln p_i, ln p_j and ln q at κ = mK/((K−1)λ_H), broadcast.

    Σp − 1 grows with c and is convex, and c ≤ 0, so Newton's method from c = 0 comes down to the root unguarded.
    """
    kappa, lam = np.broadcast_arrays(kappa, lam)
    c = np.zeros_like(kappa)
    for _ in range(200):
        log_3 = _log_p(kappa, lam, c)
        p_3 = np.exp(log_3)
        step = _excess(classes, kappa, c, log_3, p_3) / _total(classes, p_3 / (1 + kappa * p_3))
        c = c - step
        if np.all(np.abs(step) <= 4e-16 * (1 + np.abs(c))):
            break
    log_i, log_j, log_q = _log_p(kappa, lam, c)
    return log_i, log_j, log_q


def log_lambert_w(log_x: ArrayLike) -> Array:
    """ln 𝓦(x) of the principal Lambert function from ln x, for any real ln x: neither x nor 𝓦 can overflow.

    v = ln 𝓦 solves e^v + v = ln x; the left side is convex and grows, so Newton's method from above needs no safeguard.
    """
    log_x = np.asarray(log_x, np.float64)
    v = np.where(log_x > 1, np.log(np.maximum(log_x, 1)), log_x)
    for _ in range(50):
        w = np.exp(v)
        step = (w + v - log_x) / (w + 1)
        v = v - step
        if np.all(np.abs(step) <= 2e-16 * (1 + np.abs(v))):
            break
    return v


def _check(classes: int, m: Array, lambda_h: Array, lam: Array) -> None:
    if classes < 2:
        raise TheoryError(f"A simplex needs at least 2 classes, not {classes}.")
    for name, value in (("m", m), ("lambda_h", lambda_h)):
        if not np.all((value > 0) & np.isfinite(value)):
            raise TheoryError(f"{name} must be positive and finite, not {value}.")
    if not np.all((lam >= 0) & (lam <= 1)):
        raise TheoryError(f"lam must lie in 0 to 1, not {lam}.")


def _log_p(kappa: Array, lam: Array, c: Array) -> Array:
    """ln p of the classes i, j and any other, stacked, for a given c."""
    y_3 = np.stack([lam, 1 - lam, np.zeros_like(lam)])
    return log_lambert_w(np.log(kappa) + c + kappa * y_3) - np.log(kappa)


def _total(classes: int, value_3: Array) -> Array:
    """The sum over all classes of what is given for i, j and any other."""
    return value_3[0] + value_3[1] + (classes - 2) * value_3[2]


def _excess(classes: int, kappa: Array, c: Array, log_3: Array, p_3: Array) -> Array:
    """Σp − 1. As Σ(p − y) = Σ(c − ln p)/κ it keeps its digits at large κ, where p comes close to y."""
    return np.where(kappa < 1, _total(classes, p_3) - 1, (classes * c - _total(classes, log_3)) / kappa)


def _difference(log_a: Array, log_b: Array, kappa: Array, y: Array) -> Array:
    """ln(a/b) for probabilities of classes with targets that differ by y; at small κ, where a ≈ b, as κ(y − a + b)."""
    return np.where(kappa < 1, kappa * (y - np.exp(log_a) + np.exp(log_b)), log_a - log_b)
