"""How mixtures of two classes answer to λ: their logits and their amplification on the grid, measured and in theory."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix import theory
from ncmix.geometry.mixtures import PAIRS, SAME, grid
from ncmix.geometry.scalars import Readings
from ncmix.geometry.ufm import optimal_paths
from ncmix.results import Response
from ncmix.stats import UndefinedError

_PAIRS = len(PAIRS) - SAME


def respond(r: Readings) -> Response:
    """Mean and std of what was read of different classes, by λ; NaN where undefined."""
    lambdas = r.lambdas
    expected_gap, expected_ahead = _expected(r, lambdas)
    return Response(
        grid(lambdas),
        *_moments(r, r.gap_P, lambdas),
        *_moments(r, r.ahead_P, lambdas),
        theory_gap=expected_gap,
        theory_ahead=expected_ahead,
    )


def _moments(r: Readings, value_P: Tensor, lambdas: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and population std, (L, 3), over the mixtures of each pair and λ."""
    chosen_P = r.grid_P & ~r.same_P
    cell_P = (r.cell_P[chosen_P] - SAME * lambdas).cpu().numpy()
    values = value_P[chosen_P].cpu().numpy()
    count = np.bincount(cell_P, minlength=_PAIRS * lambdas)
    mean = np.bincount(cell_P, values, _PAIRS * lambdas) / count
    square = np.bincount(cell_P, (values - mean[cell_P]) ** 2, _PAIRS * lambdas) / count
    return mean.reshape(_PAIRS, lambdas).T, np.sqrt(square).reshape(_PAIRS, lambdas).T


def _expected(r: Readings, lambdas: int) -> tuple[NDArray[np.float64] | None, NDArray[np.float64] | None]:
    """The same of the optimum that fits best, v being the middle of its own class means: (L,) and (L, 3)."""
    frame = r.frame
    try:
        fit = r.fit
    except UndefinedError:
        return None, None
    if fit.scale == 0:
        return None, None
    lambda_h = fit.lambda_h(frame.count)
    h_6LD = optimal_paths(fit, frame.weight_3D, frame.count, lambdas)
    middle_3D = torch.stack([(h_6LD[i, 0] + h_6LD[j, 0]) / 2 for i, j in PAIRS[SAME:]])
    ahead_3L = torch.einsum("pld,pd->pl", h_6LD[SAME:], middle_3D) / middle_3D.square().sum(1)[:, None]
    return theory.optimum(frame.count, fit.m, lambda_h, grid(lambdas)).gap, ahead_3L.T.cpu().numpy()
