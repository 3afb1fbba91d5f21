"""Runs that look like real ones, made of formulas: what the plots draw is then known in advance."""

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ncmix.results import Channels, MetricRow, Probe, Response, Run, Spectra, Summary

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
    measured = sorted({1, epochs // 2, epochs})
    probes = {epoch: probe(channel=0.5 * mixup) for epoch in measured}
    summaries = {epoch: summary(epoch / epochs) for epoch in measured}
    spectra = {epoch: spread(epoch / epochs) for epoch in measured}
    return Run(title, {**(MIXUP if mixup else ERM), "seed": 0}, rows, probes, summaries, spectra)


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
        response=response(channel),
    )


def response(channel: float, lambdas: int = 21) -> Response:
    """Logits of slope 1 + channel on logit λ, amplification of 1 + channel at λ = ½; the pairs differ by a tenth."""
    lam = np.linspace(0, 1, lambdas)
    with np.errstate(divide="ignore"):
        logit = np.clip(np.log(lam / (1 - lam)), -8, 8)
    each = np.array([0.9, 1.0, 1.1])
    gap, ahead = (1 + channel) * logit[:, None] * each, 1 + channel * (4 * lam * (1 - lam))[:, None] * each
    spread = np.full_like(gap, 0.3)
    theory = {"theory_gap": logit, "theory_ahead": 1 + 0.9 * (ahead - 1)} if channel else {}
    return Response(lam, gap, spread, ahead, spread, **theory)


def summary(done: float, classes: int = 10, square: bool = True) -> Summary:
    """Class means between one direction and a simplex, as far as training is `done`; the test split half as far."""
    names = tuple(f"class {k}" for k in range(classes))
    random = np.random.default_rng(classes)
    ripple = 0.2 * (1 - done) * random.uniform(-1, 1, classes)
    cosines = np.stack([_towards_simplex(classes, share) for share in (done, done / 2)], 1)
    return Summary(
        splits=("train", "test"),
        class_names=names,
        mean_norms=np.stack([5 + ripple, 4 + ripple], 1),
        weight_norms=1.5 + ripple / 4,
        mean_cosines=cosines if square else None,
        weight_cosines=cosines[:, 0] if square else None,
        confusion=np.stack([_confused(classes, 0.2 * (1 - done)), _confused(classes, 0.3 - 0.2 * done)], 1)
        if square
        else None,
        bins=np.stack([_bins(0.0), _bins(0.1)]),
    )


def _towards_simplex(classes: int, done: float) -> NDArray[np.float64]:
    start, end = 0.6, -1 / (classes - 1)
    return np.where(np.eye(classes) > 0, 1.0, start + done * (end - start))


def _confused(classes: int, wrong: float, samples: int = 100) -> NDArray[np.int32]:
    """Every class's mistakes go to its neighbour."""
    next_one = np.roll(np.eye(classes), 1, axis=1)
    return np.round(samples * ((1 - wrong) * np.eye(classes) + wrong * next_one)).astype(np.int32)


def _bins(overconfidence: float, count: int = 15) -> NDArray[np.float64]:
    """More samples the surer; none in the lowest bin."""
    middle = (np.arange(count) + 0.5) / count
    samples = np.round(1000 * middle**3)
    samples[0] = 0
    return np.stack([samples, samples * middle, samples * np.maximum(middle - overconfidence, 0)], 1)


def spread(done: float, directions: int = 40, classes: int = 10) -> Spectra:
    """K−1 directions between classes of about one length, and within them a tail that shrinks."""
    place = np.arange(directions)
    between = np.where(place < classes - 1, 3 - 0.1 * place, np.nan)
    within = fall(2.0, 0.02, done) * 0.9**place
    return Spectra(("train", "test"), np.stack([between, between], 1), np.stack([within, 1.5 * within], 1))


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
