"""Which class mean is nearest to a sample, for the most part without its distances to all of them.

The squared distance of h = μ_y + d to a mean m_k is ‖μ_y − m_k‖² − 2⟨d, m_k⟩, but for a term common to all k. Where
classifier and means are nearly dual, m_k is s·w_k and a small remainder e_k, all centred, which no comparison minds. So
2⟨d, m_k⟩ is 2s⟨d, w_k⟩, which the logits have, give or take 2‖d‖‖e_k‖. A mean that is ahead by more than that could
make up is the nearest; only for the other samples d is multiplied by the means.

Shapes: B rows of a block, K classes, D feature dimension, R directions between class means.
"""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

# What rounding adds to a product of two vectors is less than this share of the product of their norms, whatever the
# order of its up to 1,024 terms, or of more in blocks, as all libraries add; and less than that of numbers added to it.
_OF_PRODUCTS, _OF_SUMS = 2.0**-14, 2.0**-16


@dataclass(frozen=True, eq=False)
class Hint:
    """What the logits z of a sample say of its distances.

    Attributes:
        guide_KK: row y holds ‖μ_y − m_k‖² + 2s(Wμ_y + b): less 2sz these are the squared distances, nearly, and but for
            a term common to all k.
        scale: 2s.
        slope, offset: slope·‖d‖ + offset is more than any two of them can be wrong by, one against the other.
    """

    guide_KK: Tensor
    scale: float
    slope: float
    offset: float

    @classmethod
    def of(cls, m_KD: Tensor, near_KK: Tensor, w_KD: Tensor, logit_KK: Tensor) -> Self | None:
        """From centred means, all known, ‖μ_y − m_k‖², the classifier and Wμ_y + b; None if it says nothing of them."""
        centred_KD = w_KD - w_KD.mean(0)
        s = float(torch.dot(centred_KD.flatten(), m_KD.flatten()) / torch.linalg.vector_norm(centred_KD).square())
        if not 0 < s < torch.inf:
            return None
        remainder, *reach = (
            float(torch.linalg.vector_norm(t_KD, dim=1).max()) for t_KD in (m_KD - s * centred_KD, m_KD, s * w_KD)
        )
        return cls(
            guide_KK=near_KK + 2 * s * logit_KK,
            scale=2 * s,
            # Two distances are compared, and each is wrong by twice a product.
            slope=4 * (remainder + _OF_PRODUCTS * max(reach)),
            offset=_OF_SUMS * float(near_KK.max() + 2 * s * logit_KK.abs().max()),
        )

    def guess(self, z_BK: Tensor, length_B: Tensor, y_B: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest mean (B,), and whether that is certain; of logits, ‖d‖ and labels."""
        near_BK = self.guide_KK.index_select(0, y_B).sub_(z_BK, alpha=self.scale)
        least_B1, nearest_B1 = near_BK.min(1, keepdim=True)
        ahead_B = near_BK.scatter_(1, nearest_B1, torch.inf).amin(1) - least_B1[:, 0]
        return nearest_B1[:, 0], ahead_B > self.slope * length_B + self.offset


@dataclass(eq=False)
class Nearest:
    """Finds the nearest of the means m_k.

    Attributes:
        near_KK: row y holds ‖μ_y − m_k‖², infinite where m_k is not known.
        product_XK: takes what a sample is to −2⟨d, m_k⟩.
        whitened: whether that is S⁻¹Vᵀd (X = R), for the split's own means, or d itself (X = D).
        hint: None where there is none, or where it has proved of little use.
    """

    near_KK: Tensor
    product_XK: Tensor
    whitened: bool
    hint: Hint | None

    def find(self, d_BD: Tensor, length_B: Tensor, t_BR: Tensor, z_BK: Tensor, y_B: Tensor) -> Tensor:
        """The nearest mean (B,) of deviations d with norms ‖d‖, S⁻¹Vᵀd, logits and labels."""
        sample_BX = t_BR if self.whitened else d_BD
        if self.hint is None:
            return self._compare(sample_BX, y_B)
        nearest_B, sure_B = self.hint.guess(z_BK, length_B, y_B)
        rest = torch.nonzero(~sure_B).flatten()
        if 2 * len(rest) > len(y_B):
            self.hint = None
        if len(rest):
            nearest_B[rest] = self._compare(sample_BX[rest], y_B[rest])
        return nearest_B

    def _compare(self, sample_BX: Tensor, y_B: Tensor) -> Tensor:
        """The nearest mean (B,) by all distances."""
        return self.near_KK.index_select(0, y_B).addmm_(sample_BX, self.product_XK).min(1).indices
