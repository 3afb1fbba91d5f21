"""What the second pass asks of every deviation from a class mean: its whitened norm, logits, the nearest class mean.

Shapes: B rows of a block, K classes, D feature dimension, R directions between class means.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import pad

from ncmix.stats.means import ClassMeans, Spectrum
from ncmix.stats.nearest import Hint, Nearest
from ncmix.stats.rows import finite_rows

# With fewer classes than this one product of all columns is faster than one for each part, with more it is not.
_NARROW = 64

# From so many on a hint pays: distances to a split's own means are the smaller product.
_HINTED, _HINTED_OF_OWN = 64, 256

# Rows of a matrix that are this many numbers long, or a multiple, begin where a CPU's product likes them to.
_ALIGNED = 8


@dataclass(frozen=True, eq=False)
class Rules:
    """What is asked of every deviation d = h − c_y, in the precision of the features.

    Attributes:
        shift_KD: c, the class means rounded to that precision; zero for an absent class.
        white_DR: (S⁻¹Vᵀ)ᵀ, no columns where it is unknown, perhaps some of zeros at its end.
        w_DK: Wᵀ.
        logit_KK: row y holds Wμ_y + b, to which Wd is added.
        nearest: finds the nearest reference mean.
    """

    shift_KD: Tensor
    white_DR: Tensor
    w_DK: Tensor
    logit_KK: Tensor
    nearest: Nearest

    @cached_property
    def joined(self) -> Tensor:
        """What d is multiplied by, side by side."""
        return torch.cat([self.white_DR, self.w_DK], 1)

    def asked(self, d_BD: Tensor, length_B: Tensor, y_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """S⁻¹Vᵀd (B, R), the logits (B, K) and the nearest reference mean (B,), of deviations, ‖d‖ and labels."""
        z_BK = self.logit_KK.index_select(0, y_B)
        if len(self.shift_KD) < _NARROW:
            t_BR, wd_BK = (d_BD @ self.joined).split([self.white_DR.shape[1], self.w_DK.shape[1]], dim=1)
            z_BK.add_(wd_BK)
        else:
            t_BR = d_BD @ self.white_DR
            z_BK.addmm_(d_BD, self.w_DK)
        return t_BR, z_BK, self.nearest.find(d_BD, length_B, t_BR, z_BK, y_B)


def rules(means: ClassMeans, w_KD: Tensor, logit_KK: Tensor, reference_KD: Tensor | None) -> Rules:
    """Of a split's means, the classifier, Wμ_y + b as row y, and reference means, None for the split's own."""
    spectrum = None if means.gap or means.spectrum.deficient else means.spectrum
    white_DR = means.centred.T @ _aligned(spectrum.u_KR / spectrum.s_R**2) if spectrum else w_KD.T[:, :0]
    w_KD, logit_KK = w_KD.to(means.dtype), logit_KK.to(means.dtype)
    return Rules(
        shift_KD=means.filled.to(means.dtype),
        white_DR=white_DR.to(means.dtype),
        w_DK=w_KD.T,
        logit_KK=logit_KK,
        nearest=_nearest(means, spectrum, w_KD, logit_KK, reference_KD),
    )


def _nearest(
    means: ClassMeans, spectrum: Spectrum | None, w_KD: Tensor, logit_KK: Tensor, reference_KD: Tensor | None
) -> Nearest:
    own = reference_KD is None or torch.equal(reference_KD, means.mean_KD)
    if own and spectrum:
        m_KD, square_K = means.centred, means.gram.diagonal()
        near_KK = square_K[:, None] + square_K - 2 * means.gram
        product_XK = -2 * _aligned(spectrum.u_KR * spectrum.s_R**2).T
    else:
        m_KD, near_KK = _distances(means, means.mean_KD if reference_KD is None else reference_KD)
        product_XK = -2 * m_KD.T
    near_KK, whitened = near_KK.to(means.dtype), bool(own and spectrum)
    pays = _pays(near_KK, _HINTED_OF_OWN if whitened else _HINTED)
    hint = Hint.of(m_KD.to(means.dtype), near_KK, w_KD, logit_KK) if pays else None
    return Nearest(near_KK, product_XK.to(means.dtype), whitened, hint)


def _aligned(m_KR: Tensor) -> Tensor:
    """With columns of zeros at the end, where that makes products with many columns faster."""
    return pad(m_KR, (0, -m_KR.shape[1] % _ALIGNED)) if len(m_KR) >= _NARROW else m_KR


def _pays(near_KK: Tensor, fewest: int) -> bool:
    """Whether a hint does: for so many classes, all known, and where it is no trouble to look what is left to do."""
    return near_KK.device.type == "cpu" and len(near_KK) >= fewest and bool(torch.isfinite(near_KK).all())


def _distances(means: ClassMeans, known_KD: Tensor) -> tuple[Tensor, Tensor]:
    """The reference means, centred, zero where they are not known, and ‖μ_y − m_k‖² (K, K), infinite there."""
    known_K = finite_rows(known_KD)
    origin_D = known_KD[known_K].mean(0)  # distances do not mind; digits do
    known_KD = torch.where(known_K[:, None], known_KD - origin_D, 0.0)
    mean_KD = means.filled - origin_D
    near_KK = (mean_KD**2).sum(1)[:, None] + (known_KD**2).sum(1) - 2 * mean_KD @ known_KD.T
    return known_KD, near_KK.masked_fill(~known_K, torch.inf)
