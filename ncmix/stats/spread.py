"""How widely features spread: all singular values. The one statistic that class sums do not give: O(ND²) time."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ncmix.numerics import arithmetic
from ncmix.stats.chunks import Chunks, blocks
from ncmix.stats.means import ClassMeans
from ncmix.stats.products import add_gram


@dataclass(frozen=True, eq=False)
class Spread:
    """The features less their class means, d = h − μ_y, as far as singular values need them; all in float64.

    The spread over all samples is that within classes and that between them, so one matrix serves both: the whole
    less what lies between classes would cancel where they have collapsed.

    Attributes:
        deviations: Σddᵀ (D, D), its lower triangle only; or d (N, D) itself, where samples are fewer than D.
        between_KD: √n_k (μ_k − h̄), h̄ the mean over all samples; zero for an absent class.
        samples: N.
    """

    deviations: Tensor
    between_KD: Tensor
    samples: int

    @cached_property
    def within(self) -> Tensor:
        """The min(N, D) singular values of d, decreasing."""
        if self._few:
            return torch.linalg.svdvals(self.deviations)
        return _roots(self.deviations)

    @cached_property
    def total(self) -> Tensor:
        """The min(N, D) singular values of h − h̄, decreasing."""
        if self._few:
            return torch.linalg.svdvals(torch.cat([self.deviations, self.between_KD]))[: self.samples]
        return _roots(self.deviations + self.between_KD.T @ self.between_KD)

    @property
    def _few(self) -> bool:
        return self.samples < self.between_KD.shape[1]


def spread(chunks: Chunks, means: ClassMeans) -> Spread:
    """The spread of features that are all finite.

    Products are in float64: in float32 the rounding of many small eigenvalues adds up to per cents of the entropy.
    """
    mean_KD, count_K = means.filled, means.count_K.to(torch.float64)
    with torch.no_grad(), arithmetic("ieee"), torch.autocast(mean_KD.device.type, enabled=False):
        centre_D = count_K @ mean_KD / means.samples
        deviations = (h_BD - mean_KD[y_B] for h_BD, y_B in blocks(chunks, 2 * len(centre_D)))
        few = means.samples < len(centre_D)
        within = torch.cat(list(deviations)) if few else _gram(deviations, centre_D)
        return Spread(within, count_K.sqrt()[:, None] * (mean_KD - centre_D), means.samples)


def _gram(deviations: Iterable[Tensor], like_D: Tensor) -> Tensor:
    """Σddᵀ (D, D), its lower triangle only."""
    dimension = len(like_D)
    gram_DD = like_D.new_zeros(dimension, dimension)
    for d_BD in deviations:
        add_gram(gram_DD, d_BD)
    return gram_DD


def _roots(gram_DD: Tensor) -> Tensor:
    """The singular values that these are the squares of, decreasing."""
    return torch.linalg.eigvalsh(gram_DD).clamp(min=0).sqrt().flip(0)
