"""The neural-collapse metrics: statistics of a split to one number each, every variant under a name of its own.

Letters: N samples, K classes, D feature dimension; μ_k class means, μ_G their unweighted mean, M̃ (K×D) the rows
μ_k − μ_G, Σ_W and Σ_B = M̃ᵀM̃/K the covariances within and between classes, W (K×D) and b the classifier, z = Wh + b.
A number that is not defined for the features at hand raises `UndefinedError` with the reason.
"""

from collections.abc import Callable

from torch import Tensor

from ncmix import stats
from ncmix.metrics.calibration import brier, ece, ece_adaptive, ece_scaled, temperature
from ncmix.metrics.decision import accuracy, nc4, nc4_bias, ncc_accuracy, nll
from ncmix.metrics.duality import nc3, nc3_uniform, nc3_wh
from ncmix.metrics.minority import minority_cosine
from ncmix.metrics.rank import effective_rank
from ncmix.metrics.simplex import (
    nc0,
    nc2_angle_means,
    nc2_angle_weights,
    nc2_etf_means,
    nc2_etf_weights,
    nc2_norm_means,
    nc2_norm_weights,
    nc2_uniformity,
)
from ncmix.metrics.variability import nc1, nc1_cdnv, nc1_condition, nc1_quotient
from ncmix.results import Metric, MetricSplit
from ncmix.stats import Statistics, UndefinedError

MetricFunction = Callable[[Statistics], float]


def measure(
    split: MetricSplit,
    h_ND: Tensor,
    y_N: Tensor,
    w_KD: Tensor,
    b_K: Tensor | None = None,
    train_means_KD: Tensor | None = None,
    softmax: bool = True,
) -> tuple[Metric, ...]:
    """Every metric of a split's features (N, D) with labels (N,); what is undefined has value None and a note.

    The tensors may be on any device; `train_means_KD` (K, D) serves the nearest-mean rule, None for the split's own.
    `softmax` says whether softmax(z) is what the network was trained to give; `ece` has no value where it is not.

    Raises:
        StatisticsError: shapes do not fit together, there is no sample, or a label is not in 0 … K−1.
    """
    extras = stats.Extras(temperature=split == "test")
    return tabulate(split, stats.statistics([(h_ND, y_N)], w_KD, b_K, train_means_KD, extras), softmax)


def tabulate(split: MetricSplit, s: Statistics, softmax: bool = True) -> tuple[Metric, ...]:
    """Every metric of these statistics, in the order of `METRICS`; `softmax` as in `measure`."""
    names = [name for name in METRICS if split == "test" or name not in TEST_ONLY]
    return tuple(_row(split, name, s, softmax) for name in names)


def class_means(h_ND: Tensor, y_N: Tensor, classes: int) -> Tensor:
    """The class means (K, D) of features (N, D) with labels (N,), in float64; NaN for an absent class.

    Raises:
        StatisticsError: shapes do not fit together, there is no sample, or a label is not in 0 … classes − 1.
    """
    return stats.class_means([(h_ND, y_N)], classes).mean_KD


def _row(split: MetricSplit, name: str, s: Statistics, softmax: bool) -> Metric:
    try:
        if name in OF_SOFTMAX and not softmax:
            raise UndefinedError("the loss does not fit softmax of the logits, which is no probability; see ece_scaled")
        return Metric(split, name, METRICS[name](s))
    except UndefinedError as reason:
        return Metric(split, name, None, str(reason))


METRICS: dict[str, MetricFunction] = {
    "nc0": nc0,
    "nc1": nc1,
    "nc1_condition": nc1_condition,
    "nc1_quotient": nc1_quotient,
    "nc1_cdnv": nc1_cdnv,
    "nc2_norm_means": nc2_norm_means,
    "nc2_norm_weights": nc2_norm_weights,
    "nc2_angle_means": nc2_angle_means,
    "nc2_angle_weights": nc2_angle_weights,
    "nc2_etf_means": nc2_etf_means,
    "nc2_etf_weights": nc2_etf_weights,
    "nc2_uniformity": nc2_uniformity,
    "nc3": nc3,
    "nc3_wh": nc3_wh,
    "nc3_uniform": nc3_uniform,
    "nc4": nc4,
    "nc4_bias": nc4_bias,
    "minority_cosine": minority_cosine,
    "accuracy": accuracy,
    "ncc_accuracy": ncc_accuracy,
    "nll": nll,
    "brier": brier,
    "ece": ece,
    "ece_adaptive": ece_adaptive,
    "ece_scaled": ece_scaled,
    "temperature": temperature,
    "effective_rank": effective_rank,
}

# Fitted on one half of the test split, judged on the other.
TEST_ONLY = frozenset({"ece_scaled", "temperature"})

# What takes softmax(z), as it is, for a probability.
OF_SOFTMAX = frozenset({"ece", "ece_adaptive"})
