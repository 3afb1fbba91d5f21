"""The method of the notebook beside Papyan, Han, Donoho 2020, plainly: a D×D matrix a sample, loops over classes.

It sums outer products of a batch, decides sample by sample which mean is nearest, and inverts Σ_B by a truncated
decomposition. Float32, as there; tr(Σ_W Σ_B†) is divided by K, which the notebook leaves to the reader.
"""

from typing import Any

import numpy as np
import torch
from scipy.sparse.linalg import svds
from torch import Tensor

BATCH = 128


def table(h_ND: Tensor, y_N: Tensor, w_KD: Tensor, samples: int | None = None) -> dict[str, float]:
    """Its metrics under our names; of the first `samples` in the second, slow pass, all of them if None."""
    classes = len(w_KD)
    mean_KD = _means(h_ND, y_N, classes)
    within_DD, disagreements = _second_pass(h_ND[:samples], y_N[:samples], w_KD, mean_KD)
    count = len(y_N[:samples])
    centred_KD = mean_KD - mean_KD.mean(0)
    norm_m_K, norm_w_K = torch.linalg.norm(centred_KD, dim=1), torch.linalg.norm(w_KD, dim=1)
    u_DR: Any
    u_DR, s_R, _ = svds((centred_KD.T @ centred_KD / classes).numpy(), k=min(classes - 1, w_KD.shape[1] - 1))
    inverse_DD = u_DR @ np.diag(1 / s_R) @ u_DR.T
    return {
        "nc1": float(np.trace((within_DD / count).numpy() @ inverse_DD)) / classes,
        "nc2_norm_means": float(norm_m_K.std() / norm_m_K.mean()),
        "nc2_norm_weights": float(norm_w_K.std() / norm_w_K.mean()),
        "nc2_angle_means": _angle(centred_KD / norm_m_K[:, None]),
        "nc2_angle_weights": _angle(w_KD / norm_w_K[:, None]),
        "nc3": float((w_KD / w_KD.norm() - centred_KD / centred_KD.norm()).square().sum()),
        "nc4": disagreements / count,
    }


def _means(h_ND: Tensor, y_N: Tensor, classes: int) -> Tensor:
    sum_KD, count_K = torch.zeros(classes, h_ND.shape[1]), torch.zeros(classes)
    for h_BD, y_B in zip(h_ND.split(BATCH), y_N.split(BATCH), strict=True):
        for k in range(classes):
            rows = torch.nonzero(y_B == k)[:, 0]
            if len(rows):
                sum_KD[k] += h_BD[rows].sum(0)
                count_K[k] += len(rows)
    return sum_KD / count_K[:, None]


def _second_pass(h_ND: Tensor, y_N: Tensor, w_KD: Tensor, mean_KD: Tensor) -> tuple[Tensor, int]:
    """Sum of the outer products of deviations (D, D), and how often network and nearest mean differ."""
    within_DD, disagreements = torch.zeros(h_ND.shape[1], h_ND.shape[1]), 0
    for h_BD, y_B in zip(h_ND.split(BATCH), y_N.split(BATCH), strict=True):
        z_BK = h_BD @ w_KD.T
        for k in range(len(w_KD)):
            rows = torch.nonzero(y_B == k)[:, 0]
            if len(rows):
                d_BD = h_BD[rows] - mean_KD[k]
                within_DD += (d_BD[:, :, None] @ d_BD[:, None, :]).sum(0)
                distance_BK = torch.stack([torch.linalg.norm(h_D - mean_KD, dim=1) for h_D in h_BD[rows]])
                disagreements += int((distance_BK.argmin(1) != z_BK[rows].argmax(1)).sum())
    return within_DD, disagreements


def _angle(unit_KD: Tensor) -> float:
    classes = len(unit_KD)
    deviation_KK = (unit_KD @ unit_KD.T + 1 / (classes - 1)).abs().fill_diagonal_(0)
    return float(deviation_KK.sum() / (classes * (classes - 1)))
