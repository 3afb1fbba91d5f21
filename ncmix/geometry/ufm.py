"""How far mean mixed features are from the optimum of unconstrained features, in the scale that fits best."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix import theory
from ncmix.geometry.mixtures import PAIRS, grid
from ncmix.stats import UndefinedError

Array = NDArray[np.float64]

# log10 of κ = mK/((K−1)λ_H), from features that are a convex combination to features far out in the channel.
_COARSE = np.linspace(-2, 8, 101)
_FINE = np.linspace(-0.1, 0.1, 41)


@dataclass(frozen=True)
class UfmFit:
    """The best fit: ‖measured − fitted‖/‖measured‖, its κ, and the factor on the features of ‖w‖ = 1."""

    residual: float
    kappa: float
    scale: float

    @property
    def m(self) -> float:
        """‖w_k‖² of the classifier whose optimum it is, as features are proportional to 1/√m at given κ; scale > 0."""
        return self.scale**-2

    def lambda_h(self, classes: int) -> float:
        """The decay λ_H = mK/((K−1)κ) at K = `classes`."""
        return self.m * classes / ((classes - 1) * self.kappa)


def nearest_etf(weight_3D: Tensor, classes: int) -> Tensor:
    """The three rows (3, D) of a simplex ETF of `classes` unit vectors that are nearest to given ones, scale apart.

    Of all E with EEᵀ = G, G the 3×3 Gram matrix of such rows, √G·polar(√G·W) is nearest to W (Procrustes). An exact
    ETF gives itself.
    """
    gram_33 = (torch.eye(3).to(weight_3D) - 1 / classes) * classes / (classes - 1)
    value_3, vector_33 = torch.linalg.eigh(gram_33)
    root_33 = vector_33 * value_3.clamp(min=0).sqrt() @ vector_33.T
    u, _, vh = torch.linalg.svd(root_33 @ weight_3D, full_matrices=False)
    return root_33 @ u @ vh


def fit_ufm(mean_CD: Tensor, weight_3D: Tensor, classes: int) -> UfmFit:
    """The optimum of `ncmix.theory` nearest to mean mixed features.

    Its plane is that of the ETF nearest to the classifier, so only two numbers are free: the scale, by least squares,
    and κ, by trying 10 values a decade from 1e-2 to 1e8, then 200 a decade around the best of them.

    Args:
        mean_CD: (6L, D) mean of h − μ_G for each pair of PAIRS and, within it, each λ of the grid.
        weight_3D: (3, D) rows w_k − w̄ of the classifier.
        classes: K.

    Raises:
        UndefinedError: a feature or classifier is not finite, or there is nothing to fit.
    """
    if not (torch.isfinite(mean_CD).all() and torch.isfinite(weight_3D).all()):
        raise UndefinedError("the mixed features or the classifier are not all finite")
    total = float(mean_CD.square().sum())
    if total == 0 or not weight_3D.any():
        raise UndefinedError("the mixed features or the three classifiers all coincide")
    etf_3D, lambdas = nearest_etf(weight_3D, classes), len(mean_CD) // len(PAIRS)
    along_C3, gram_33 = (mean_CD @ etf_3D.T).cpu().numpy(), (etf_3D @ etf_3D.T).cpu().numpy()
    coarse = _best(_COARSE, _coarse_shapes(classes, lambdas), along_C3, gram_33, total)
    fine = np.log10(coarse.kappa) + _FINE
    return _best(fine, _shapes(classes, lambdas, fine), along_C3, gram_33, total)


def optimal_paths(fit: UfmFit, weight_3D: Tensor, classes: int, lambdas: int) -> Tensor:
    """h − μ_G of the fitted optimum, (6, L, D): for each pair of PAIRS and each λ on a grid of L = `lambdas`."""
    shape_C3 = _shapes(classes, lambdas, np.array([np.log10(fit.kappa)]))[0]
    h_CD = fit.scale * torch.from_numpy(shape_C3).to(weight_3D) @ nearest_etf(weight_3D, classes)
    return h_CD.view(len(PAIRS), lambdas, -1)


def _best(log_kappa_X: Array, shape_XC3: Array, along_C3: Array, gram_33: Array, total: float) -> UfmFit:
    """Of these κ the one whose features, in their best scale, come nearest to features with `total` square."""
    along_X = np.einsum("xck,ck->x", shape_XC3, along_C3)
    square_X = np.einsum("xck,xck->x", shape_XC3 @ gram_33, shape_XC3)
    scale_X = np.maximum(along_X, 0) / square_X
    residual_X = np.sqrt(np.maximum(1 - scale_X * along_X / total, 0))
    best = int(residual_X.argmin())
    return UfmFit(float(residual_X[best]), float(10 ** log_kappa_X[best]), float(scale_X[best]))


@lru_cache(maxsize=4)
def _coarse_shapes(classes: int, lambdas: int) -> Array:
    return _shapes(classes, lambdas, _COARSE)


def _shapes(classes: int, lambdas: int, log_kappa_X: Array) -> Array:
    """(X, 6L, 3): for each κ the coefficients of the optimal features on the three unit classifiers."""
    lambda_h = classes / ((classes - 1) * 10**log_kappa_X)[:, None]
    mixed, same = theory.optimum(classes, 1, lambda_h, grid(lambdas)), theory.same_class(classes, 1, lambda_h)
    shape = np.zeros((len(log_kappa_X), len(PAIRS), lambdas, 3))
    for pair, (first, second) in enumerate(PAIRS):
        if first == second:
            shape[:, pair, :, first] = same.along_i
        else:
            shape[:, pair, :, first], shape[:, pair, :, second] = mixed.along_i, mixed.along_j
    return shape.reshape(len(log_kappa_X), -1, 3)
