"""The scalars beside the picture: how mixtures lie to classifiers, class means and theory, one number each."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from ncmix.geometry.mixtures import PAIRS, SAME, Mixtures
from ncmix.geometry.ufm import UfmFit, fit_ufm
from ncmix.results import Metric
from ncmix.stats import UndefinedError


@dataclass(frozen=True, eq=False)
class Frame:
    """What mixtures are held against, in float64 on the device of the features.

    Attributes:
        classes_3: the three classes; count: K.
        centre_D: μ_G.
        weight_3D: w_k − w̄ of the three classes, w̄ the mean of all rows of W.
        middle_6D: ½(μ̃_i + μ̃_j) for each pair of PAIRS, μ̃ = μ − μ_G.
    """

    classes_3: Tensor
    count: int
    centre_D: Tensor
    weight_3D: Tensor
    middle_6D: Tensor

    @classmethod
    def of(cls, w_KD: Tensor, mean_G: Tensor, class_means_KD: Tensor, classes: tuple[int, int, int]) -> "Frame":
        """From the classifier (K, D), and μ_G (D,) and the class means (K, D) of the clean training split."""
        w_KD = w_KD.detach().to(torch.float64)
        classes_3 = torch.tensor(classes, device=w_KD.device)
        centre_D = mean_G.to(w_KD)
        mean_3D = class_means_KD.to(w_KD)[classes_3] - centre_D
        middle_6D = torch.stack([(mean_3D[i] + mean_3D[j]) / 2 for i, j in PAIRS])
        return cls(classes_3, len(w_KD), centre_D, (w_KD - w_KD.mean(0))[classes_3], middle_6D)


class Readings:
    """What is kept of every mixture; all on the device.

    Attributes:
        cosine_P: cos(h − μ_G, w_i − w̄), i the first class of the pair.
        ahead_P: ⟨h − μ_G, v⟩/‖v‖² with v = ½(μ̃_i + μ̃_j): 1 at λ = ½ if h is linear in λ between the class means.
        gap_P: z_i − z_j.
        mean_CD: the mean of h − μ_G in each cell of the grid; and in one more row, of what is beside it.
        lam_P: λ; same_P: whether of one class; grid_P: whether on the grid; cell_P: the cell, −1 beside the grid.
    """

    def __init__(self, mixtures: Mixtures, frame: Frame) -> None:
        self.frame, device = frame, frame.centre_D.device
        self.lam_P = torch.from_numpy(mixtures.lam).to(device)
        self._pair_P, self.cell_P = (torch.from_numpy(a).to(device) for a in (mixtures.pair, mixtures.cell))
        self.same_P, self.grid_P = self._pair_P < SAME, self.cell_P >= 0
        self.cosine_P, self.ahead_P, self.gap_P = torch.zeros(3, len(mixtures), dtype=torch.float64, device=device)
        self._count_C = torch.from_numpy(np.bincount(mixtures.cell % (mixtures.cell.max() + 2))).to(device)
        self.mean_CD = frame.centre_D.new_zeros(len(self._count_C), len(frame.centre_D))
        self._sides_62 = torch.tensor(PAIRS, device=device)

    def put(self, places_B: Tensor, h_BD: Tensor, z_BK: Tensor) -> None:
        """Records the features (B, D) and logits (B, K) of the mixtures at these places."""
        frame, pair_B, cell_B = self.frame, self._pair_P[places_B], self.cell_P[places_B]
        sides_B2 = self._sides_62[pair_B]
        d_BD = h_BD.to(torch.float64) - frame.centre_D
        weight_BD, middle_BD = frame.weight_3D[sides_B2[:, 0]], frame.middle_6D[pair_B]
        norm_B = torch.linalg.norm(d_BD, dim=1) * torch.linalg.norm(weight_BD, dim=1)
        self.cosine_P[places_B] = (d_BD * weight_BD).sum(1) / norm_B
        self.ahead_P[places_B] = (d_BD * middle_BD).sum(1) / middle_BD.square().sum(1)
        z_B2 = z_BK.gather(1, frame.classes_3[sides_B2]).to(torch.float64)
        self.gap_P[places_B] = z_B2[:, 0] - z_B2[:, 1]
        cell_B = cell_B % len(self._count_C)
        self.mean_CD.index_add_(0, cell_B, d_BD / self._count_C[cell_B][:, None])

    @property
    def lambdas(self) -> int:
        """L."""
        return (len(self.mean_CD) - 1) // len(PAIRS)

    @cached_property
    def fit(self) -> UfmFit:
        """The optimum of the theory nearest to the means of all cells, once everything is put.

        Raises:
            UndefinedError: see `fit_ufm`.
        """
        return fit_ufm(self.mean_CD[:-1], self.frame.weight_3D, self.frame.count)


def mix_same_alignment(r: Readings) -> float:
    """Mean cos(h − μ_G, w_y − w̄) over same-class mixtures, λ on the grid (Fisher, Meng, Papyan 2024)."""
    if not r.frame.weight_3D.any(1).all():
        raise UndefinedError("a centred row of the classifier is zero and has no direction")
    return float(r.cosine_P[r.same_P].mean())


def mix_amplification(r: Readings) -> float:
    """Mean ⟨h − μ_G, v⟩/‖v‖², v = ½(μ̃_i + μ̃_j), over different-class mixtures at λ = ½; 1 if h is linear in λ."""
    if not r.frame.middle_6D.any(1).all():
        raise UndefinedError("two class means are opposite and their middle has no direction")
    return float(r.ahead_P[~r.grid_P].mean())


def mix_logit_slope(r: Readings) -> float:
    """Slope of z_i − z_j on logit λ, through the origin, over different-class mixtures, λ on the grid in (0, 1)."""
    logit_P, gap_P = _regression(r)
    if not logit_P.any():
        raise UndefinedError("the grid has no λ between 0 and 1 but ½")
    return float(logit_P @ gap_P / (logit_P @ logit_P))


def mix_logit_corr(r: Readings) -> float:
    """Correlation of z_i − z_j with logit λ over different-class mixtures, λ on the grid in (0, 1)."""
    logit_P, gap_P = (v_P - v_P.mean() for v_P in _regression(r))
    if not (logit_P.any() and gap_P.any()):
        raise UndefinedError("the logits do not vary with λ, or λ not at all")
    return float(logit_P @ gap_P / (torch.linalg.norm(logit_P) * torch.linalg.norm(gap_P)))


def mix_ufm_residual(r: Readings) -> float:
    """Relative distance of mean mixed features, by pair and λ, to the unconstrained-features optimum that fits best.

    Each mean is of ⌈per_pair/L⌉ mixtures; what is left of their scatter counts as distance. Scale and κ are fitted, see
    `fit_ufm` (Fisher, Meng, Papyan 2024, Theorem 3.1).
    """
    return r.fit.residual


def tabulate(r: Readings) -> tuple[Metric, ...]:
    """Every scalar, in the order of `SCALARS`; what is undefined has value None and a note."""
    return tuple(_row(name, scalar, r) for name, scalar in SCALARS.items())


def _row(name: str, scalar: Callable[[Readings], float], r: Readings) -> Metric:
    if not torch.isfinite(r.frame.centre_D).all():
        return Metric("train", name, None, "the training split has no global mean: a class is absent or not finite")
    try:
        return Metric("train", name, scalar(r))
    except UndefinedError as reason:
        return Metric("train", name, None, str(reason))


def _regression(r: Readings) -> tuple[Tensor, Tensor]:
    """Logit λ and z_i − z_j of the different-class mixtures on the grid, without its ends where logit λ is infinite."""
    chosen_P = r.grid_P & ~r.same_P & (r.lam_P > 0) & (r.lam_P < 1)
    return torch.logit(r.lam_P[chosen_P]), r.gap_P[chosen_P]


SCALARS: dict[str, Callable[[Readings], float]] = {
    "mix_same_alignment": mix_same_alignment,
    "mix_amplification": mix_amplification,
    "mix_logit_slope": mix_logit_slope,
    "mix_logit_corr": mix_logit_corr,
    "mix_ufm_residual": mix_ufm_residual,
}
