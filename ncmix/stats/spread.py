"""How widely features spread: all singular values. The one statistic that class sums do not give: O(ND²) time."""

import torch
from torch import Tensor

from ncmix.numerics import arithmetic
from ncmix.stats.chunks import Chunks, blocks
from ncmix.stats.means import ClassMeans

# Columns of a panel of the D×D matrix. Only panels on and below the diagonal are computed: little over half of it. A
# multiple of 48, the width of the product's kernel on a CPU in float64: 1.7 times as fast as 256.
_PANEL = 144


def singular_values(chunks: Chunks, means: ClassMeans) -> Tensor:
    """The min(N, D) singular values of the features less their mean over all samples, in float64.

    From the eigenvalues of the D×D Gram matrix, or of the features themselves where they are fewer than D. Products
    are in float64: in float32 the rounding of many small eigenvalues adds up to per cents of the entropy.
    """
    present_K = means.count_K > 0
    mean_D = (means.count_K[present_K, None] * means.mean_KD[present_K]).sum(0) / means.samples
    with torch.no_grad(), arithmetic("ieee"), torch.autocast(mean_D.device.type, enabled=False):
        if means.samples < len(mean_D):
            return torch.linalg.svdvals(torch.cat([h_BD - mean_D for h_BD, _ in blocks(chunks, len(mean_D))]))
        return torch.linalg.eigvalsh(_gram(chunks, mean_D)).clamp(min=0).sqrt().flip(0)


def _gram(chunks: Chunks, mean_D: Tensor) -> Tensor:
    """Σ(h − h̄)(h − h̄)ᵀ (D, D), its lower triangle only."""
    dimension = len(mean_D)
    gram_DD = mean_D.new_zeros(dimension, dimension)
    for h_BD, _ in blocks(chunks, dimension):
        d_BD = h_BD - mean_D
        for start in range(0, dimension, _PANEL):
            panel = slice(start, start + _PANEL)
            gram_DD[start:, panel].addmm_(d_BD[:, start:].T, d_BD[:, panel])
    return gram_DD
