"""Features to class statistics: two passes over chunks, sums in float64, no D×D matrix; a third for the spectrum.

Shapes: N samples, B rows of a chunk, K classes, D feature dimension, R = min(K−1, D) directions between class means.

The first pass sums the features of every class. The second works on deviations d = h − μ_y, so that an offset shared by
all features costs no digits. With M̃ = U S Vᵀ the trace tr(Σ_W Σ_B†)/K is the mean of ‖S⁻¹Vᵀd‖²; logits and distances to
class means are products with d too. Beyond the features this takes O(KD) memory and five bytes a sample, and nothing
waits for the host between chunks. Two extras cost more: a temperature keeps logits, all singular values take a third
pass of O(ND²) time and O(D²) memory.
"""

from ncmix.stats.chunks import Chunks, StatisticsError, UndefinedError
from ncmix.stats.decisions import Decisions
from ncmix.stats.means import ClassMeans, Spectrum, class_means
from ncmix.stats.scatter import Extras, Statistics, statistics

__all__ = [
    "Chunks",
    "ClassMeans",
    "Decisions",
    "Extras",
    "Spectrum",
    "Statistics",
    "StatisticsError",
    "UndefinedError",
    "class_means",
    "statistics",
]
