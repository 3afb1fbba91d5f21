"""NC3: how class means and classifier approach each other."""

from ncmix.metrics.common import (
    EPSILON,
    from_simplex,
    mean_norms,
    norm,
    require_spread,
    require_weights,
    weight_norms,
)
from ncmix.stats import Statistics, UndefinedError


def nc3(s: Statistics) -> float:
    """‖W/‖W‖ − M̃/‖M̃‖‖², squared (Papyan, Han, Donoho 2020, Fig. 5)."""
    require_weights(s)
    require_spread(s)
    difference_KD = (s.w_KD / norm(s.weight_norms)).sub_(s.means.centred, alpha=1 / norm(s.means.norms))
    return norm(difference_KD) ** 2


def nc3_wh(s: Statistics) -> float:
    """‖WM̃ᵀ/‖WM̃ᵀ‖ − (I − 11ᵀ/K)/√(K−1)‖ (Zhu 2021; Zhou 2022)."""
    require_weights(s)
    require_spread(s)
    if norm(s.cross) <= len(s.cross) * EPSILON * norm(s.weight_norms) * norm(s.means.norms):
        raise UndefinedError("WM̃ᵀ is zero")
    return from_simplex(s.cross)


def nc3_uniform(s: Statistics) -> float:
    """Population variance over k of cos(w_k, μ_k − μ_G) (Wu & Papyan 2024)."""
    cosine_K = s.cross.diagonal() / (weight_norms(s) * mean_norms(s))
    return float(cosine_K.var(correction=0))
