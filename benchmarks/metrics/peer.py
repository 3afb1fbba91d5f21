"""The table as users of rhubarbwu/neural-collapse compute it, from a checkout of theirs."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import Tensor

# What its README advises for many classes; by default K×K×D numbers are made at once.
TILE = 64

# Rows of a batch; fewer and more were slower.
_ROWS = 4096


class Peer:
    """The package in a folder, and its table of features (N, D), labels (N,) and a classifier without bias (K, D)."""

    def __init__(self, folder: Path) -> None:
        if not (folder / "neural_collapse").is_dir():
            raise SystemExit(f"{folder} is no checkout of rhubarbwu/neural-collapse: it has no folder neural_collapse.")
        sys.path.insert(0, str(folder.resolve()))
        self.accumulate: Any = import_module("neural_collapse.accumulate")
        self.kernels: Any = import_module("neural_collapse.kernels")
        self.measure: Any = import_module("neural_collapse.measure")

    def table(self, h_ND: Tensor, y_N: Tensor, w_KD: Tensor, tile: int | None = None) -> dict[str, float]:
        """Values under the names of ours that mean the same; what it defines otherwise has its own name."""
        chunks = list(zip(h_ND.split(_ROWS), y_N.split(_ROWS), strict=True))
        shape = (len(w_KD), w_KD.shape[1])
        means = self.accumulate.MeanAccumulator(*shape)
        for h_BD, y_B in chunks:
            means.accumulate(h_BD, y_B)
        mean_KD, centre_D = means.compute()
        covariance = self.accumulate.CovarAccumulator(*shape, M=mean_KD)
        norms = self.accumulate.VarNormAccumulator(*shape, M=mean_KD)
        decisions = self.accumulate.DecAccumulator(*shape, M=mean_KD, W=w_KD)
        for h_BD, y_B in chunks:
            covariance.accumulate(h_BD, y_B, mean_KD)
            norms.accumulate(h_BD, y_B, mean_KD)
            decisions.accumulate(h_BD, y_B, w_KD, mean_KD)
        variance_K, _ = norms.compute()
        return {
            **self._of_features(covariance.compute(), variance_K, mean_KD, centre_D, tile),
            **self._of_classifier(w_KD, mean_KD, centre_D),
            "nc4": 1 - self.measure.clf_ncc_agreement(decisions),
        }

    def _of_features(
        self, within_DD: Tensor, variance_K: Tensor, mean_KD: Tensor, centre_D: Tensor, tile: int | None
    ) -> dict[str, float]:
        m, log_kernel = self.measure, self.kernels.log_kernel
        norm_K = m.mean_norms(mean_KD, centre_D)
        cosine_KK = m.interference_grid(mean_KD, centre_D) / (norm_K[:, None] * norm_K)
        return {
            "nc1": m.covariance_ratio(within_DD, mean_KD, centre_D),
            "nc1_quotient": m.covariance_ratio(within_DD, mean_KD, centre_D, "quotient"),
            "nc1_cdnv": m.variability_cdnv(variance_K, mean_KD, tile_size=tile),
            "nc2_norm_means": float(norm_K.std() / norm_K.mean()),
            "nc2_angle_means": _angle(cosine_KK),
            "nc2_etf_means": m.simplex_etf_error(mean_KD, centre_D),
            "log distances, variance": self.kernels.kernel_stats(mean_KD, centre_D, log_kernel, tile)[1],
        }

    def _of_classifier(self, w_KD: Tensor, mean_KD: Tensor, centre_D: Tensor) -> dict[str, float]:
        m = self.measure
        norm_K = m.mean_norms(w_KD)
        return {
            "nc2_norm_weights": float(norm_K.std() / norm_K.mean()),
            "nc2_angle_weights": _angle(m.interference_grid(w_KD) / (norm_K[:, None] * norm_K)),
            "nc2_etf_weights": m.simplex_etf_error(w_KD, w_KD.mean(0)),
            "nc3_wh": m.self_duality_error(w_KD, mean_KD, centre_D),
            "nc3_uniform": float(m.similarities(w_KD, mean_KD, centre_D, cos=True).var(correction=0)),
        }


def _angle(cosine_KK: Tensor) -> float:
    """Mean deviation of cosines from −1/(K−1): no function of the package, but the grid is."""
    classes = len(cosine_KK)
    deviation_KK = (cosine_KK + 1 / (classes - 1)).abs().fill_diagonal_(0)
    return float(deviation_KK.sum() / (classes * (classes - 1)))
