"""The metric table, `metrics.measure(split, features, labels, weights, bias)`, against exact cases and definitions."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from ncmix import metrics, stats
from tests.ncmix.metrics.clouds import REGIMES, cloud, simplex, table

COLLAPSE = [name for name in metrics.METRICS if name.startswith("nc") and name not in ("ncc_accuracy", "nc1_condition")]


def textbook(h, y, w, b, m=None):
    """The definitions written out in float64, with the whole Σ_W, Σ_B and a pseudo-inverse of exact rank."""
    h, w, b = h.double().numpy(), w.double().numpy(), b.double().numpy()
    y, classes = y.numpy(), len(w)
    mu = np.stack([h[y == k].mean(0) for k in range(classes)])
    near = mu if m is None else m.double().numpy()
    centre = mu.mean(0)
    t, d, z = mu - centre, h - mu[y], h @ w.T + b
    within, between = d.T @ d / len(h), t.T @ t / classes
    u, s, vh = np.linalg.svd(between)
    rank = min(classes - 1, h.shape[1])
    inverse = vh[:rank].T @ np.diag(1 / s[:rank]) @ u[:, :rank].T
    ideal = (np.eye(classes) - 1 / classes) / np.sqrt(classes - 1)
    v = np.array([np.mean(np.sum((h[y == k] - mu[k]) ** 2, 1)) for k in range(classes)])
    pairs = list(itertools.combinations(range(classes), 2))
    unit = t / np.linalg.norm(t, axis=1)[:, None]
    unit_w = w / np.linalg.norm(w, axis=1)[:, None]
    energy = np.array([np.log(1 / np.linalg.norm(unit[k] - unit[j])) for k, j in pairs])
    distance = np.stack([np.sum((h - near[k]) ** 2, 1) for k in range(classes)], 1)
    cosines = np.sum(unit_w * unit, 1)

    def variation(rows):
        lengths = np.linalg.norm(rows, axis=1)
        return lengths.std(ddof=1) / lengths.mean()

    def angle(rows):
        return np.mean([abs(rows[k] @ rows[j] + 1 / (classes - 1)) for k, j in pairs])

    def from_ideal(g):
        return np.linalg.norm(g / np.linalg.norm(g) - ideal)

    centred_w = w - w.mean(0)
    singular = np.linalg.svd(t, compute_uv=False)
    counts = np.bincount(y)
    few = [(k, j) for k, j in pairs if max(counts[k], counts[j]) <= counts.max() / 2]
    return {
        "nc0": np.linalg.norm(w.T @ np.ones(classes)),
        "nc1": np.trace(within @ inverse) / classes,
        "nc1_condition": singular[rank - 1] / singular[0],
        "nc1_quotient": np.trace(within) / np.trace(between),
        "nc1_cdnv": np.mean([(v[k] + v[j]) / (2 * np.sum((mu[k] - mu[j]) ** 2)) for k, j in pairs]),
        "nc2_norm_means": variation(t),
        "nc2_norm_weights": variation(w),
        "nc2_angle_means": angle(unit),
        "nc2_angle_weights": angle(unit_w),
        "nc2_etf_means": from_ideal(t @ t.T),
        "nc2_etf_weights": from_ideal(centred_w @ centred_w.T),
        "nc2_uniformity": energy.std() / abs(energy.mean()),
        "nc3": np.sum((w / np.linalg.norm(w) - t / np.linalg.norm(t)) ** 2),
        "nc3_wh": from_ideal(w @ t.T),
        "nc3_uniform": cosines.var(),
        "nc4": np.mean(z.argmax(1) != distance.argmin(1)),
        "nc4_bias": np.linalg.norm(w @ centre + b),
        **({"minority_cosine": np.mean([unit_w[k] @ unit_w[j] for k, j in few])} if few else {}),
        "accuracy": np.mean(z.argmax(1) == y),
        "ncc_accuracy": np.mean(distance.argmin(1) == y),
        "nll": cross_entropy(torch.from_numpy(z), torch.from_numpy(y)).item(),
    }


@pytest.mark.parametrize("classes", [2, 3, 10, 50])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
def test_a_simplex_with_all_samples_on_their_means_has_collapsed_completely(classes, dtype, tolerance):
    w = simplex(classes, 64, norm=3.0, dtype=dtype)
    y = torch.arange(4 * classes) % classes
    found = table(2.5 * w[y], y, w, torch.zeros(classes, dtype=dtype))
    for name in COLLAPSE:
        assert found[name] == pytest.approx(0, abs=tolerance), name
    assert found["accuracy"] == found["ncc_accuracy"] == 1
    assert found["nc1_condition"] == pytest.approx(1, abs=1e-6)
    z = 2.5 * 9
    assert found["nll"] == pytest.approx(math.log1p((classes - 1) * math.exp(-z * classes / (classes - 1))), rel=1e-4)


@pytest.mark.parametrize(("classes", "a", "sigma"), [(2, 1.0, 0.5), (10, 3.0, 0.1), (10, 0.2, 2.0), (60, 1.0, 1e-3)])
def test_isotropic_clouds_around_a_simplex_have_the_exact_nc1(classes, a, sigma):
    """NC1 = σ²(K−1)²/(K a²): deviations ±σ√D along every axis make a covariance of exactly σ²I."""
    dimension = 64
    axes = torch.cat([torch.eye(dimension), -torch.eye(dimension)]).double() * sigma * math.sqrt(dimension)
    h = (simplex(classes, dimension, norm=a)[:, None] + axes).flatten(0, 1)
    y = torch.arange(classes).repeat_interleave(2 * dimension)
    for dtype, tolerance in [(torch.float64, 1e-12), (torch.float32, 1e-6)]:
        found = table(h.to(dtype), y, simplex(classes, dimension, dtype=dtype))
        assert found["nc1"] == pytest.approx(sigma**2 * (classes - 1) ** 2 / (classes * a**2), rel=tolerance)
        between = a**2 * dimension * sigma**2 / a**4
        assert found["nc1_quotient"] == pytest.approx(between, rel=tolerance)
        separation = 2 * classes / (classes - 1) * a**2
        assert found["nc1_cdnv"] == pytest.approx(dimension * sigma**2 / separation, rel=tolerance)


@pytest.mark.parametrize("regime", REGIMES)
def test_agrees_with_the_definitions_written_out(regime):
    h, y, w, b = REGIMES[regime]
    found, expected = table(h, y, w, b), textbook(h, y, w, b)
    balanced = set() if regime.startswith("imbalanced") else {"minority_cosine"}
    assert found.keys() == expected.keys() == metrics.METRICS.keys() - balanced
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-12), name


def test_the_nearest_mean_rule_of_a_test_split_uses_the_means_of_the_training_split():
    h, y, w, b = cloud(10, 16, 500, noise=1.5, seed=1)
    train = metrics.class_means(*cloud(10, 16, 50, noise=1.5, seed=1)[:2], 10)
    found, expected = table(h, y, w, b, train_means_KD=train), textbook(h, y, w, b, train)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found["ncc_accuracy"] != table(h, y, w, b)["ncc_accuracy"]
    assert found["nc1"] == table(h, y, w, b)["nc1"]


def test_weights_that_sum_to_a_vector_have_its_length_as_nc0():
    h, y, w, _ = cloud(3, 4, 30)
    w = w - w.mean(0) + torch.tensor([1.0, 2.0, 2.0, 4.0])
    assert table(h, y, w)["nc0"] == pytest.approx(15, rel=1e-6)


def test_no_bias_is_a_bias_of_zero():
    h, y, w, b = cloud()
    assert table(h, y, w) == table(h, y, w, torch.zeros_like(b))


def test_measuring_statistics_or_features_is_the_same():
    h, y, w, b = cloud()
    assert metrics.tabulate("train", stats.statistics([(h, y)], w, b)) == metrics.measure("train", h, y, w, b)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_numbers_and_the_same_bits_twice():
    for regime in REGIMES.values():
        there = [t.cuda() for t in regime]
        assert table(*there) == pytest.approx(table(*regime), rel=1e-6, abs=1e-12)
        assert table(*there) == table(*there)
