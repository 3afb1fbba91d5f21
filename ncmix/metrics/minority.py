"""Minority collapse: how near to each other the classifiers of classes with few samples are."""

from ncmix.metrics.common import weight_norms, weights
from ncmix.stats import Statistics, UndefinedError


def minority_cosine(s: Statistics) -> float:
    """Mean over k≠l of cos(w_k, w_l), rows not centred, among the classes with at most half the samples of the largest
    (Fang, He, Long, Su 2021).

    1 when the classifiers of the minority have collapsed into one, −1/(K−1) when all classifiers form a simplex. Where
    classes differ by less, as in most data sets, there is no minority. The split's own samples are counted.
    """
    if s.means.gap:
        raise UndefinedError(s.means.gap)
    norm_K = weight_norms(s)
    few_K = 2 * s.means.count_K <= s.means.count_K.max()
    minority = int(few_K.sum())
    if minority < 2:
        raise UndefinedError("fewer than two classes have at most half the samples of the largest")
    unit_MD = weights(s)[few_K] / norm_K[few_K, None]
    # ‖Σ ŵ‖² is the sum of all cosines, of which those of k = l are 1.
    return float((unit_MD.sum(0).square().sum() - minority) / (minority * (minority - 1)))
