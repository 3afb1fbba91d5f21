"""Runs that look like real ones, made of formulas: what the plots draw is then known in advance."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ncmix.results import Channels, MetricRow, Probe, Run

# name: value at the start, value at the end, how many times larger on the test split.
COLLAPSE = {
    "nc0": (1.9, 0.05, 1.0),
    "nc1": (8.0, 2e-3, 6.0),
    "nc1_quotient": (4.0, 4e-3, 5.0),
    "nc1_cdnv": (3.0, 1e-3, 8.0),
    "nc2_norm_means": (0.31, 0.03, 1.2),
    "nc2_norm_weights": (0.12, 0.02, 1.0),
    "nc2_angle_means": (0.42, 0.03, 1.3),
    "nc2_angle_weights": (0.2, 0.02, 1.0),
    "nc2_etf_means": (0.9, 0.06, 1.2),
    "nc2_etf_weights": (0.5, 0.04, 1.0),
    "nc2_uniformity": (0.6, 0.05, 1.2),
    "nc3": (1.4, 0.02, 1.4),
    "nc3_wh": (0.9, 0.05, 1.2),
    "nc3_uniform": (0.05, 2e-5, 1.5),
    "nc4": (0.4, 0.0, 1.0),
    "nc4_bias": (0.9, 0.1, 1.1),
}

PAIRS = [(0, 1), (1, 2), (0, 2)]

ERM = {"dataset": {"kind": "digits"}, "mix": {"kind": "none"}}
MIXUP = {"dataset": {"kind": "digits"}, "mix": {"kind": "mixup", "alpha": 1.0}}


def run(title: str = "digits mlp cross_entropy none seed 0", *, epochs: int = 40, mixup: bool = False) -> Run:
    """A run measured at every epoch and probed at three of them; with mixup it collapses less."""
    rows = tuple(_rows(epochs, slower=2.5 if mixup else 1.0))
    probes = {epoch: probe(channel=0.5 * mixup) for epoch in sorted({1, epochs // 2, epochs})}
    return Run(title, MIXUP if mixup else ERM, rows, probes)


def _rows(epochs: int, slower: float) -> Iterator[MetricRow]:
    for epoch in range(1, epochs + 1):
        share = epoch / epochs
        for name, (start, end, test) in COLLAPSE.items():
            value = fall(start, end, share / slower)
            yield MetricRow(epoch, "train", name, value)
            yield MetricRow(epoch, "test", name, value if test == 1 else fall(value, test * value, share))
        for split, gap in {"running": 0.08 * slower, "train": 0.0, "test": 0.03}.items():
            wrong = (0.85 - gap) * math.exp(-8 * share) + gap
            yield MetricRow(epoch, split, "loss", 2.7 * wrong + fall(0.3, 2e-3, share))
            yield MetricRow(epoch, split, "accuracy", 1 - wrong)


def fall(start: float, end: float, share: float) -> float:
    """From start to end, evenly on a logarithmic scale with a ripple; linearly if one of them is zero."""
    if start * end <= 0:
        return start + (end - start) * min(1.0, 1.2 * share)
    return start * (end / start) ** share * (1 + 0.04 * math.sin(40 * share))


def probe(*, channel: float = 0.0, per_pair: int = 300, spread: float = 0.12, scale: float = 7.0) -> Probe:
    """Three collapsed classes and their mixtures; `channel` bends those of different classes outwards."""
    random = np.random.default_rng(3)
    corners = np.array([[1.0, -0.577], [-1.0, -0.577], [0.0, 1.155]]) / 1.155
    pairs = [(0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)]
    first, second = (np.repeat([pair[i] for pair in pairs], per_pair) for i in (0, 1))
    lam = random.uniform(size=len(first))
    points = scale * (
        _mixed(corners[first], corners[second], lam, channel) + spread * random.normal(size=(len(lam), 2))
    )
    return Probe(
        points=points.astype(np.float32),
        lam=lam.astype(np.float32),
        first=first,
        second=second,
        classifier=(0.9 * corners + [[0.05, 0], [0, 0.03], [-0.02, 0]]).astype(np.float32),
        classes=(0, 1, 2),
        class_names=("airplane", "automobile", "bird"),
        mode="eval",
        theory=channels(scale * corners, channel) if channel else None,
    )


def channels(corners: NDArray[np.float64], channel: float) -> Channels:
    """What a theory would say that knows how `probe` bends its mixtures."""
    lam = np.linspace(0, 1, 11)
    paths = [_mixed(np.tile(corners[i], (11, 1)), np.tile(corners[j], (11, 1)), lam, channel) for i, j in PAIRS]
    return Channels(0.7, 0.01, 78.0, 0.12, corners.astype(np.float32), np.stack(paths).astype(np.float32))


def _mixed(
    a: NDArray[np.float64], b: NDArray[np.float64], lam: NDArray[np.float64], channel: float
) -> NDArray[np.float64]:
    straight = lam[:, None] * a + (1 - lam[:, None]) * b
    return straight * (1 + channel * (4 * lam * (1 - lam))[:, None] * (np.linalg.norm(a - b, axis=1) > 0)[:, None])
