"""The metric table: `metrics.measure(split, features, labels, weights, bias)` against exact cases and definitions."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from ncmix import metrics, stats

COLLAPSE = [name for name in metrics.METRICS if name.startswith("nc") and name not in ("ncc_accuracy", "nc1_condition")]
WEIGHTS_ONLY = {"nc0", "nc2_norm_weights", "nc2_angle_weights", "nc2_etf_weights"}


def table(*arguments, **named):
    """name -> value."""
    return {m.name: m.value for m in metrics.measure("train", *arguments, **named)}


def notes(*arguments, **named):
    """name -> why there is no value, for those that have none."""
    return {m.name: m.note for m in metrics.measure("train", *arguments, **named) if m.value is None}


def simplex(classes, dimension, norm=1.0, dtype=torch.float64):
    """A simplex ETF: rows of length `norm` with equal angles, in `dimension` ≥ classes dimensions."""
    rows = torch.eye(classes, dimension, dtype=torch.float64)
    rows[:, :classes] -= 1 / classes
    return (norm * math.sqrt(classes / (classes - 1)) * rows).to(dtype)


def cloud(classes=6, dimension=20, samples=300, noise=0.5, offset=0.0, dtype=torch.float32, seed=0):
    """Features around random class means, labels, weights and bias."""
    g = torch.Generator().manual_seed(seed)
    y = torch.arange(samples) % classes
    means = torch.randn(classes, dimension, generator=g, dtype=torch.float64)
    h = means[y] + offset + noise * torch.randn(samples, dimension, generator=g, dtype=torch.float64)
    w, b = torch.randn(classes, dimension, generator=g), torch.randn(classes, generator=g)
    return h.to(dtype), y, w.to(dtype), b.to(dtype)


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


def decaying(decades, classes=10, dimension=40):
    """Class means whose singular values fall over so many decades, as early in training, at offset 3."""
    h, y, w, b = cloud(classes, dimension, 600)
    g = torch.Generator().manual_seed(5)
    u, _, vh = torch.linalg.svd(torch.randn(classes, dimension, generator=g).double(), full_matrices=False)
    spread = (u * torch.logspace(1, 1 - decades, classes).double()) @ vh
    return (spread[y] + 3 + 0.01 * torch.randn(h.shape, generator=g)).float(), y, w, b


def imbalanced():
    """Classes of 30, 60, …, 900 samples."""
    counts = torch.linspace(30, 900, 10).int()
    h, _, w, b = cloud(10, 32, int(counts.sum()))
    y = torch.repeat_interleave(torch.arange(10), counts)
    return h + 2 * torch.randn(10, 32, generator=torch.Generator().manual_seed(1))[y], y, w, b


REGIMES = {
    "ordinary": cloud(10, 64, 1000),
    "collapsed": cloud(10, 64, 1000, noise=3e-3, offset=10),
    "to the last digits": cloud(10, 64, 1000, noise=1e-5, offset=10),
    "means over 2 decades": decaying(2),
    "means over 3.5 decades": decaying(3.5),
    "imbalanced 30:1": imbalanced(),
    "more classes than dimensions": cloud(12, 5, 240),
    "two classes": cloud(2, 8, 50),
    "float64": cloud(10, 64, 1000, dtype=torch.float64),
    "many rows in many blocks": cloud(10, 600, 9000),
}


@pytest.mark.parametrize("regime", REGIMES)
def test_agrees_with_the_definitions_written_out(regime):
    h, y, w, b = REGIMES[regime]
    found, expected = table(h, y, w, b), textbook(h, y, w, b)
    assert found.keys() == expected.keys() == metrics.METRICS.keys()
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-6, abs=1e-12), name


def test_the_nearest_mean_rule_of_a_test_split_uses_the_means_of_the_training_split():
    h, y, w, b = cloud(10, 16, 500, noise=1.5, seed=1)
    train = metrics.class_means(*cloud(10, 16, 50, noise=1.5, seed=1)[:2], 10)
    found, expected = table(h, y, w, b, train_means_KD=train), textbook(h, y, w, b, train)
    assert found == pytest.approx(expected, rel=1e-6)
    assert found["ncc_accuracy"] != table(h, y, w, b)["ncc_accuracy"]
    assert found["nc1"] == table(h, y, w, b)["nc1"]


clouds = st.builds(
    cloud,
    classes=st.integers(2, 7),
    dimension=st.integers(7, 12),
    samples=st.integers(30, 80),
    noise=st.floats(1e-3, 1),
    dtype=st.just(torch.float64),
    seed=st.integers(0, 2**32),
)


@given(clouds, st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_a_rotation_of_the_feature_space_changes_nothing(features, seed):
    h, y, w, b = features
    q, _ = torch.linalg.qr(torch.randn(h.shape[1], h.shape[1], generator=torch.Generator().manual_seed(seed)).double())
    assert table(h @ q, y, w @ q, b) == pytest.approx(table(h, y, w, b), rel=1e-8, abs=1e-10)


@given(clouds, st.permutations(range(7)))
@settings(deadline=None, max_examples=30)
def test_the_names_of_the_classes_do_not_matter(features, names):
    h, y, w, b = features
    order = torch.tensor([k for k in names if k < len(w)])  # the new class of each
    w_new, b_new = torch.empty_like(w), torch.empty_like(b)
    w_new[order], b_new[order] = w, b
    assert table(h, order[y], w_new, b_new) == pytest.approx(table(h, y, w, b), rel=1e-8, abs=1e-10)


@given(clouds, st.permutations(range(30)))
@settings(deadline=None, max_examples=20)
def test_the_order_of_the_samples_does_not_matter(features, head):
    h, y, w, b = features
    order = torch.arange(len(y))
    order[:30] = torch.tensor(head)
    assert table(h[order], y[order], w, b) == pytest.approx(table(h, y, w, b), rel=1e-9)


@given(clouds, st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=30)
def test_a_common_scale_matters_only_where_the_definition_has_units(features, scale):
    """Features times c and weights over c leave the network as it is; all but the norms in W's units are free of c."""
    h, y, w, b = features
    one, other = table(h, y, w, b), table(scale * h, y, w / scale, b)
    one["nc0"] /= scale
    assert other == pytest.approx(one, rel=1e-8, abs=1e-10)


@given(clouds, st.floats(-20, 20))
@settings(deadline=None, max_examples=20)
def test_moving_all_features_matters_only_to_the_network(features, shift):
    h, y, w, b = features
    about_the_network = {"accuracy", "nll", "nc4", "nc4_bias"}
    one, other = table(h, y, w, b), table(h + shift, y, w, b)
    for name in one.keys() - about_the_network:
        assert other[name] == pytest.approx(one[name], rel=1e-7, abs=1e-9), name
    same = table(h + shift, y, w, b - shift * w.sum(1))
    assert same == pytest.approx(one, rel=1e-7, abs=1e-9)


def test_duplicating_every_sample_changes_nothing():
    h, y, w, b = cloud(5, 12, 90)
    twice = table(h.repeat(2, 1), y.repeat(2), w, b)
    assert twice == pytest.approx(table(h, y, w, b), rel=1e-7)


def test_weights_that_sum_to_a_vector_have_its_length_as_nc0():
    h, y, w, _ = cloud(3, 4, 30)
    w = w - w.mean(0) + torch.tensor([1.0, 2.0, 2.0, 4.0])
    assert table(h, y, w)["nc0"] == pytest.approx(15, rel=1e-6)


def test_no_bias_is_a_bias_of_zero():
    h, y, w, b = cloud()
    assert table(h, y, w) == table(h, y, w, torch.zeros_like(b))


def test_a_class_absent_from_the_split_leaves_what_does_not_need_its_mean():
    h, y, w, b = cloud(6, 20, 300)
    present = y != 4
    missing = notes(h[present], y[present], w, b)
    assert missing.keys() == metrics.METRICS.keys() - WEIGHTS_ONLY - {"accuracy", "ncc_accuracy", "nll", "nc4"}
    assert set(missing.values()) == {"class 4 has no sample in this split"}
    found = table(h[present], y[present], w, b)
    z = h[present] @ w.T + b
    assert found["nll"] == pytest.approx(cross_entropy(z, y[present]).item(), rel=1e-5)
    means = metrics.class_means(h[present], y[present], 6)
    assert torch.isnan(means[4]).all()
    nearest = torch.cdist(h[present].double(), means.nan_to_num(nan=1e9)).argmin(1)
    assert found["ncc_accuracy"] == pytest.approx((nearest == y[present]).double().mean().item())
    assert found["nc4"] == pytest.approx((nearest != z.argmax(1)).double().mean().item())


def test_a_class_absent_from_the_training_split_is_never_the_nearest():
    h, y, w, b = cloud(6, 20, 300, noise=0.1)
    train = metrics.class_means(h[y != 4], y[y != 4], 6)
    found = table(h, y, w, b, train_means_KD=train)
    assert found["ncc_accuracy"] == pytest.approx((y != 4).double().mean().item())
    assert found["nc1"] == pytest.approx(table(h, y, w, b)["nc1"])


def test_classes_with_one_sample_have_no_scatter():
    h, _, w, b = cloud(6, 20, 6)
    found = table(h, torch.arange(6), w, b)
    assert found["nc1"] == found["nc1_quotient"] == found["nc1_cdnv"] == 0
    assert found["ncc_accuracy"] == 1
    assert None not in found.values()


def test_features_without_any_scatter_have_exactly_zero_nc1():
    h, y, w, b = cloud(6, 20, 300, offset=1e3)
    found = table(h[y], y, w, b)
    assert found["nc1"] == found["nc1_quotient"] == found["nc1_cdnv"] == 0


def test_a_network_collapsed_to_one_point_leaves_what_needs_no_spread():
    _, y, w, b = cloud(6, 20, 300)
    missing = notes(torch.full((300, 20), 0.3), y, w, b)
    spread = {n for n in metrics.METRICS if n.startswith(("nc1", "nc3")) or n.endswith(("_means", "uniformity"))}
    assert missing.keys() == spread
    assert all("coincide" in note or "rounding" in note for note in missing.values())


def test_class_means_in_a_smaller_space_give_no_nc1_but_their_condition():
    """Two classes with one mean: Σ_B has rank K−2, and a pseudo-inverse of rank K−1 would be noise."""
    h, y, w, b = cloud(6, 20, 300)
    means = metrics.class_means(h, y, 6)
    means[5] = means[4]
    deviations = (h.double() - metrics.class_means(h, y, 6)[y])[:30]
    y = torch.arange(6).repeat_interleave(60)
    h = means[y] + torch.cat([deviations, -deviations]).repeat(6, 1)  # the same cloud around every mean
    found = {m.name: m for m in metrics.measure("test", h.float(), y, w, b)}
    assert found["nc1"].value is None
    assert "Σ_B" in found["nc1"].note
    assert found["nc1_condition"].value < 1e-7
    assert found["nc1_cdnv"].note == "two class means coincide"
    assert found["nc2_uniformity"].note == "two centred class means have the same direction"
    assert found["nc1_quotient"].value > 0


def test_a_diverged_network_gives_no_number_but_for_its_weights():
    h, y, w, b = cloud()
    for bad in (math.nan, math.inf, -math.inf):
        h[7, 3] = bad
        assert notes(h, y, w, b).keys() == metrics.METRICS.keys() - WEIGHTS_ONLY
        assert set(notes(h, y, w, b).values()) == {"the features are not all finite"}
    h, y, w, b = cloud()
    w[2, 2] = math.nan
    missing = notes(h, y, w, b)
    assert missing.keys() == WEIGHTS_ONLY | {"nc3", "nc3_wh", "nc3_uniform", "nc4", "nc4_bias", "accuracy", "nll"}
    assert set(missing.values()) == {"the classifier is not all finite"}
    assert notes(h, y, torch.ones_like(w), torch.full_like(b, math.nan))["nll"] == "the bias is not all finite"


def test_a_classifier_of_zeros_has_no_shape():
    h, y, w, b = cloud()
    missing = notes(h, y, torch.zeros_like(w), torch.zeros_like(b))
    assert missing.keys() == (WEIGHTS_ONLY - {"nc0"}) | {"nc3", "nc3_wh", "nc3_uniform"}
    found = table(h, y, torch.zeros_like(w), torch.zeros_like(b))
    assert found["nc0"] == found["nc4_bias"] == 0
    assert found["nll"] == pytest.approx(math.log(6))
    assert found["accuracy"] == pytest.approx(1 / 6)  # all logits equal: class 0
    w[3] = 0
    assert "row 3" in notes(h, y, w, b)["nc2_angle_weights"]
    assert notes(h, y, torch.ones_like(w), b)["nc2_etf_weights"] == "all rows of the classifier are the same"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"y": torch.tensor([0, 1, 6])}, "class 6; allowed are 0 to 5"),
        ({"y": torch.tensor([0, -1, 2])}, "class -1; allowed are 0 to 5"),
        ({"y": torch.tensor([0, 1])}, "one N"),
        ({"y": torch.tensor([0.0, 1.0, 2.0])}, "whole numbers"),
        ({"h": torch.zeros(3)}, "must be"),
        ({"h": torch.zeros(0, 20), "y": torch.zeros(0, dtype=torch.int64)}, "no sample"),
        ({"w": torch.zeros(6, 19)}, "20 columns, but W has 19"),
        ({"w": torch.zeros(1, 20), "b": None}, "at least 2 classes"),
        ({"w": torch.zeros(20)}, "W must be"),
        ({"b": torch.zeros(5)}, r"b must have shape \(6,\)"),
        ({"m": torch.zeros(5, 20)}, "shape of W"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(change, sentence):
    h, y, w, b = cloud()
    arguments = {"h": h[:3], "y": y[:3], "w": w, "b": b, "m": None} | change
    with pytest.raises(ValueError, match=sentence):
        metrics.measure("train", *arguments.values())


def test_the_callers_precision_does_not_leak_in():
    """A network trained in bfloat16 is measured in float32 nevertheless, and gradients are not followed."""
    h, y, w, b = cloud()
    with torch.autocast("cpu", torch.bfloat16):
        inside = table(h, y, w.requires_grad_(), b)
    assert inside == table(h, y, w.detach(), b)


def test_half_precision_features_and_small_integer_labels_are_taken_as_they_are():
    h, y, w, b = cloud()
    assert table(h.half(), y.to(torch.uint8), w, b) == table(h.half().float(), y, w, b)


def test_every_metric_says_what_it_is_in_one_line():
    for name in metrics.METRICS:
        assert metrics.summary(name).endswith((").", "y.", "s."))
        assert len(metrics.summary(name)) > 20


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same_numbers_and_the_same_bits_twice():
    for regime in REGIMES.values():
        there = [t.cuda() for t in regime]
        assert table(*there) == pytest.approx(table(*regime), rel=1e-6, abs=1e-12)
        assert table(*there) == table(*there)


def test_measuring_statistics_or_features_is_the_same():
    h, y, w, b = cloud()
    assert metrics.tabulate("train", stats.statistics([(h, y)], w, b)) == metrics.measure("train", h, y, w, b)
