"""NC1: how the samples of a class gather around its mean."""

from ncmix.metrics.common import EPSILON, off_diagonal, require_spread
from ncmix.stats import Statistics, UndefinedError


def nc1(s: Statistics) -> float:
    """tr(Σ_W Σ_B†)/K, Σ_B† from its top min(K−1, D) eigenpairs (Papyan, Han, Donoho 2020, Fig. 6)."""
    spectrum = s.means.spectrum
    if spectrum.deficient:
        size = f"the smallest singular value of the centred class means, {spectrum.s_R[-1]:.1e}"
        raise UndefinedError(f"{size}, is not above their rounding, {spectrum.noise:.1e}: Σ_B has no such inverse")
    return s.whitened / s.samples


def nc1_condition(s: Statistics) -> float:
    """Smallest over largest of the min(K−1, D) singular values of M̃: how well `nc1` of Papyan 2020 is conditioned."""
    require_spread(s)
    return float(s.means.spectrum.s_R[-1] / s.means.spectrum.s_R[0])


def nc1_quotient(s: Statistics) -> float:
    """tr Σ_W / tr Σ_B (Tirer et al. 2023)."""
    require_spread(s)
    within, between = s.scatter_K.sum() / s.samples, s.means.norms.square().sum() / len(s.w_KD)
    return float(within / between)


def nc1_cdnv(s: Statistics) -> float:
    """Mean over pairs of classes of (v_k + v_l)/(2‖μ_k − μ_l‖²), v_k = mean ‖h − μ_k‖² (Galanti 2021)."""
    square_K = s.means.gram.diagonal()
    distance_P = off_diagonal(square_K[:, None] + square_K - 2 * s.means.gram)
    if distance_P.min() <= max(s.means.noise**2, 8 * EPSILON * float(square_K.max())):
        raise UndefinedError("two class means coincide")
    variance_K = s.scatter_K / s.means.count_K
    return float((off_diagonal(variance_K[:, None] + variance_K) / (2 * distance_P)).mean())
