"""The metric table, `metrics.measure(split, features, labels, weights, bias)`, against exact cases and definitions."""

import math

import pytest
import torch

from ncmix import metrics, stats
from tests.ncmix.metrics.clouds import CLASSIFIED, REGIMES, cloud, simplex, table
from tests.ncmix.metrics.textbook import textbook

COLLAPSE = [name for name in metrics.METRICS if name.startswith("nc") and name not in ("ncc_accuracy", "nc1_condition")]


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


@pytest.mark.parametrize("features", [pytest.param(f, id=name) for name, f in (REGIMES | CLASSIFIED).items()])
def test_agrees_with_the_definitions_written_out(features):
    found, expected = table(*features, split="test"), textbook(*features)
    assert found.keys() == expected.keys() == metrics.METRICS.keys()
    for name, value in expected.items():
        # A temperature divides by how much better than chance the network is, in some regimes next to nothing.
        relative = 1e-5 if name == "temperature" else 1e-6
        # An ECE is a small difference of large sums of confidences.
        absolute = 1e-8 if name.startswith("ece") else 1e-12
        assert found[name] == (value if value is None else pytest.approx(value, rel=relative, abs=absolute)), name


def test_the_nearest_mean_rule_of_a_test_split_uses_the_means_of_the_training_split():
    h, y, w, b = cloud(10, 16, 500, noise=1.5, seed=1)
    train = metrics.class_means(*cloud(10, 16, 50, noise=1.5, seed=1)[:2], 10)
    found, expected = table(h, y, w, b, train), textbook(h, y, w, b, train)
    for name in ("nc1", "nc4", "ncc_accuracy", "accuracy"):
        assert found[name] == pytest.approx(expected[name], rel=1e-6)
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
    assert metrics.tabulate("test", stats.statistics([(h, y)], w, b)) == metrics.measure("test", h, y, w, b)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_numbers_and_the_same_bits_twice():
    for regime in REGIMES.values():
        there = [t.cuda() for t in regime]
        assert table(*there) == pytest.approx(table(*regime), rel=1e-6, abs=1e-12)
        assert table(*there) == table(*there)
