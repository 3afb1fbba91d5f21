"""The mixed probe: where mixtures of three classes land in feature space, as a picture and as scalars.

Source: Fisher, Meng, Papyan 2024, "Pushing Boundaries: Mixup's Influence on Neural Collapse", App. B.2.

Shapes: P mixtures, B a batch of them, K classes, D feature dimension, L values of λ, C = 6L cells of class pair and λ.
"""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix.datasets.base import Data
from ncmix.errors import NcmixError
from ncmix.geometry.mixtures import PAIRS, SAME, Mixtures, draw, sweep
from ncmix.geometry.plane import Plane
from ncmix.geometry.response import respond
from ncmix.geometry.scalars import SCALARS, Frame, Readings, tabulate
from ncmix.geometry.ufm import UfmFit, fit_ufm, optimal_paths
from ncmix.mix import Draws
from ncmix.models import Network
from ncmix.results import Channels, Metric, Probe
from ncmix.spec import Geometry
from ncmix.stats import UndefinedError

__all__ = ["SCALARS", "GeometryError", "Plane", "UfmFit", "fit_ufm", "run_probe"]

# Values of λ along a drawn path of the theory.
_PATH = 101


class GeometryError(NcmixError, ValueError):
    """The probe cannot be made of these classes; the message is a sentence."""


def run_probe(
    network: Network,
    data: Data,
    geometry: Geometry,
    mean_G: Tensor,
    class_means_KD: Tensor,
    draws: Draws,
    *,
    keep: bool = False,
) -> tuple[Probe, tuple[Metric, ...]]:
    """The probe of a network and its scalars `mix_*`, of split train.

    Works on copies: the live network keeps its mode and its batch statistics. The precision is that of the caller.
    `geometry.mode` is that of the picture; the scalars are of eval mode, as the class means are that they are held
    against.

    Args:
        network: gives features and logits, and has `weight` (K, D).
        data: its training split is mixed, after normalisation and without augmentation.
        geometry: classes, mixtures a pair, size of the λ grid, and mode.
        mean_G: (D,) μ_G, the unweighted mean of the clean training split's class means.
        class_means_KD: (K, D) these class means.
        draws: every random choice comes from `draws.host`.
        keep: whether the probe shall hold the features of the picture's mixtures, too.

    Raises:
        GeometryError: a class is not in the data, or has no training sample.
    """
    pictured, probed = draw([_rows(data, k) for k in geometry.classes], geometry, draws.host)
    readings = Readings(probed, Frame.of(network.weight, mean_G, class_means_KD, geometry.classes))
    with torch.no_grad():
        probe = _picture(deepcopy(network).train(geometry.mode == "train"), data, geometry, pictured, draws.host, keep)
        for places_B, h_BD, z_BK in sweep(deepcopy(network).eval(), data, probed, draws.host):
            readings.put(places_B, h_BD, z_BK)
    if geometry.mode == "eval":
        probe = replace(probe, theory=_channels(readings, Plane.through(network.weight[list(geometry.classes)])))
    return replace(probe, response=respond(readings)), tabulate(readings)


def _channels(readings: Readings, plane: Plane) -> Channels | None:
    """The paths of the theory in the picture; None where there is no such optimum, as `mix_ufm_residual` then says."""
    frame = readings.frame
    try:
        fit = readings.fit
    except UndefinedError:
        return None
    if fit.scale == 0:  # nothing in the features points where the theory does
        return None
    h_6LD = frame.centre_D + optimal_paths(fit, frame.weight_3D, frame.count, _PATH)
    points_6L2 = plane.points(h_6LD).cpu().numpy().astype(np.float32)
    same_32, different_3L2 = points_6L2[:SAME, 0], points_6L2[SAME:]
    return Channels(fit.m, fit.lambda_h(frame.count), fit.kappa, fit.residual, same_32, different_3L2)


def _rows(data: Data, k: int) -> NDArray[np.int64]:
    """The training rows of class k."""
    if k >= len(data.classes):
        raise GeometryError(f"measure.geometry.classes names class {k}; the data have 0 to {len(data.classes) - 1}.")
    rows = np.flatnonzero((data.train.y == k).cpu().numpy())
    if len(rows) == 0:
        raise GeometryError(f"Class {k} ({data.classes[k]}) has no training sample, so there is nothing to mix.")
    return rows


def _picture(
    network: Network, data: Data, geometry: Geometry, mixtures: Mixtures, host: np.random.Generator, keep: bool
) -> Probe:
    w_3D = network.weight.detach()[list(geometry.classes)]
    plane = Plane.through(w_3D)
    points_P2 = torch.empty(len(mixtures), 2, dtype=torch.float64, device=w_3D.device)
    h_PD = np.empty((len(mixtures), w_3D.shape[1]), np.float32) if keep else None
    for places_B, h_BD, _ in sweep(network, data, mixtures, host):
        points_P2[places_B] = plane.points(h_BD)
        if h_PD is not None:
            h_PD[places_B.cpu().numpy()] = h_BD.float().cpu().numpy()
    a, b, c = geometry.classes
    first, second = np.array(geometry.classes)[np.array(PAIRS)[mixtures.pair]].T
    return Probe(
        points=points_P2.cpu().numpy().astype(np.float32),
        lam=mixtures.lam.astype(np.float32),
        first=first,
        second=second,
        classifier=plane.points(w_3D).cpu().numpy().astype(np.float32),
        classes=geometry.classes,
        class_names=(data.classes[a], data.classes[b], data.classes[c]),
        mode=geometry.mode,
        features=h_PD,
    )
