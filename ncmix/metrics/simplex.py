"""NC2: how class means and classifier approach a simplex, equal in length and angle; NC0: their balance."""

from torch import Tensor

from ncmix.metrics.common import (
    EPSILON,
    from_simplex,
    mean_norms,
    norm,
    off_diagonal,
    require_spread,
    require_weights,
    weight_norms,
    weights,
)
from ncmix.stats import Statistics, UndefinedError


def nc0(s: Statistics) -> float:
    """‖Wᵀ1‖, the length of the sum of the classifier's rows (Zhao et al. 2026, arXiv 2602.16642)."""
    return norm(weights(s).sum(0))


def nc2_norm_means(s: Statistics) -> float:
    """Std/mean of ‖μ_k − μ_G‖, unbiased std (Papyan, Han, Donoho 2020, Fig. 2)."""
    require_spread(s)
    return _variation(s.means.gram)


def nc2_norm_weights(s: Statistics) -> float:
    """Std/mean of ‖w_k‖, unbiased std (Papyan, Han, Donoho 2020, Fig. 2)."""
    require_weights(s)
    return _variation(s.weight_gram)


def nc2_angle_means(s: Statistics) -> float:
    """Mean over k≠l of |cos(μ_k − μ_G, μ_l − μ_G) + 1/(K−1)| (Papyan, Han, Donoho 2020, Fig. 4)."""
    return _angle(_mean_cosines(s))


def nc2_angle_weights(s: Statistics) -> float:
    """Mean over k≠l of |cos(w_k, w_l) + 1/(K−1)|, rows not centred (Papyan, Han, Donoho 2020, Fig. 4)."""
    return _angle(_cosines(s.weight_gram, weight_norms(s)))


def nc2_etf_means(s: Statistics) -> float:
    """‖G/‖G‖ − (I − 11ᵀ/K)/√(K−1)‖, G = M̃M̃ᵀ (Zhu 2021; Zhou 2022)."""
    require_spread(s)
    return from_simplex(s.means.gram)


def nc2_etf_weights(s: Statistics) -> float:
    """‖G/‖G‖ − (I − 11ᵀ/K)/√(K−1)‖, G = WWᵀ with the rows of W centred (Zhu 2021; Zhou 2022)."""
    return from_simplex(_centred_gram(s))


def nc2_uniformity(s: Statistics) -> float:
    """Std/|mean|, population std, over pairs of log(1/‖μ̂_k − μ̂_l‖), μ̂ normalised rows of M̃ (Wu & Papyan 2024)."""
    square_P = 2 - 2 * off_diagonal(_mean_cosines(s))
    if square_P.min() <= 8 * EPSILON:
        raise UndefinedError("two centred class means have the same direction")
    energy_P = -square_P.log() / 2
    return float(energy_P.std(correction=0) / energy_P.mean().abs())


def _variation(gram_KK: Tensor) -> float:
    norm_K = gram_KK.diagonal().sqrt()
    return float(norm_K.std() / norm_K.mean())


def _cosines(gram_KK: Tensor, norm_K: Tensor) -> Tensor:
    return gram_KK / (norm_K[:, None] * norm_K)


def _mean_cosines(s: Statistics) -> Tensor:
    return _cosines(s.means.gram, mean_norms(s))


def _angle(cosine_KK: Tensor) -> float:
    return float((off_diagonal(cosine_KK) + 1 / (len(cosine_KK) - 1)).abs().mean())


def _centred_gram(s: Statistics) -> Tensor:
    """WWᵀ with the rows of W centred, from WWᵀ itself: a K×K sum instead of a product."""
    require_weights(s)
    mean_K = s.weight_gram.mean(0)
    gram_KK = s.weight_gram - mean_K[:, None] - mean_K + mean_K.mean()
    if norm(gram_KK) <= len(mean_K) * EPSILON * norm(s.weight_gram):
        raise UndefinedError("all rows of the classifier are the same")
    return gram_KK
