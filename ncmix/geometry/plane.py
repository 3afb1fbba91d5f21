"""The plane of three classifiers, in which the picture is drawn."""

from dataclasses import dataclass

import torch
from torch import Tensor

# The basis in which three points with equal distances have the first two on a horizontal line.
_BASIS = ((0.5, -0.5, 0.0), (0.0, 0.0, 0.75**0.5))

# Directions in which the three classifiers differ by less than this are left out, as published.
_CUT = 1e-5


@dataclass(frozen=True)
class Plane:
    """point(h) = AQ(h − m): an isometry of the plane through three equidistant classifiers (Fisher et al. 2024).

    Attributes:
        map_2D: AQ (2, D); NaN if a classifier is not finite.
        origin_D: m (D,), the mean of the three.
    """

    map_2D: Tensor
    origin_D: Tensor

    @classmethod
    def through(cls, w_3D: Tensor) -> "Plane":
        """The plane of three rows of W: Q = UVᵀ from W₃ − m = USVᵀ, A = √2 [[½, −½, 0], [0, 0, √¾]] (I − 11ᵀ/3)."""
        w_3D = w_3D.detach().to(torch.float64)
        origin_D = w_3D.mean(0)
        if not torch.isfinite(w_3D).all():
            return cls(torch.full_like(w_3D[:2], torch.nan), origin_D)
        u, s, vh = torch.linalg.svd(w_3D - origin_D, full_matrices=False)
        keep = s > _CUT
        a_23 = 2**0.5 * w_3D.new_tensor(_BASIS) @ (torch.eye(3).to(w_3D) - 1 / 3)
        return cls(a_23 @ u[:, keep] @ vh[keep], origin_D)

    def points(self, h_BD: Tensor) -> Tensor:
        """Features (B, D) as points (B, 2), in float64."""
        return (h_BD.to(torch.float64) - self.origin_D) @ self.map_2D.T
