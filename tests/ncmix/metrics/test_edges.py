"""Where a metric is not defined it has no value and a reason; what does not fit at all is refused."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy

from ncmix import metrics
from tests.ncmix.metrics.clouds import BALANCED, cloud, notes, table
from tests.ncmix.metrics.textbook import effective_rank

WEIGHTS_ONLY = {"nc0", "nc2_norm_weights", "nc2_angle_weights", "nc2_etf_weights"}
# What does not ask for class means of this split; on the training split.
NETWORK = {"accuracy", "nll", "brier", "ece", "ece_adaptive"}
TRAIN = metrics.METRICS.keys() - metrics.TEST_ONLY


def test_a_class_absent_from_the_split_leaves_what_does_not_need_its_mean():
    h, y, w, b = cloud(6, 20, 300)
    present = y != 4
    missing = notes(h[present], y[present], w, b)
    assert missing.keys() == TRAIN - WEIGHTS_ONLY - NETWORK - {"ncc_accuracy", "nc4", "effective_rank"}
    assert missing.keys() == notes(h[present], y[present], w, b, split="test").keys()
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
    assert {name for name, value in found.items() if value is None} == metrics.TEST_ONLY & found.keys() | BALANCED


def test_features_without_any_scatter_have_exactly_zero_nc1():
    h, y, w, b = cloud(6, 20, 300, offset=1e3)
    found = table(h[y], y, w, b)
    assert found["nc1"] == found["nc1_quotient"] == found["nc1_cdnv"] == 0


def test_a_network_collapsed_to_one_point_leaves_what_needs_no_spread():
    _, y, w, b = cloud(6, 20, 300)
    missing = notes(torch.full((300, 20), 0.3), y, w, b)
    del missing["minority_cosine"]
    spread = {n for n in TRAIN if n.startswith(("nc1", "nc3")) or n.endswith(("_means", "uniformity"))}
    assert missing.keys() == spread | {"effective_rank"}
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
        for split in ("train", "test"):
            missing = notes(h, y, w, b, split=split)
            assert missing.keys() == table(h, y, w, b, split=split).keys() - WEIGHTS_ONLY
            assert set(missing.values()) == {"the features are not all finite"}
    h, y, w, b = cloud()
    w[2, 2] = math.nan
    missing = notes(h, y, w, b)
    aligned = {"nc3", "nc3_wh", "nc3_uniform", "nc4", "nc4_bias", "minority_cosine"}
    assert missing.keys() == WEIGHTS_ONLY | NETWORK | aligned
    assert set(missing.values()) == {"the classifier is not all finite"}
    assert notes(h, y, w, b, split="test").keys() == missing.keys() | metrics.TEST_ONLY
    assert notes(h, y, torch.ones_like(w), torch.full_like(b, math.nan))["nll"] == "the bias is not all finite"


def test_logits_that_overflow_leave_no_number_that_needs_them():
    h, y, w, b = cloud()
    missing = notes(h, y, 1e39 * w.double(), b, split="test")
    assert missing.keys() == NETWORK | metrics.TEST_ONLY | {"nc4"} | BALANCED
    assert {missing[name] for name in missing.keys() - BALANCED} == {"the logits are not all finite"}


def test_fewer_samples_than_dimensions_have_the_effective_rank_of_their_differences():
    h, _, w, b = cloud(6, 20, 12)
    expected = effective_rank(h.double().numpy())
    assert table(h, torch.arange(12) % 6, w, b)["effective_rank"] == pytest.approx(expected, rel=1e-9)
    assert expected < 11
    # Two samples differ in one direction.
    assert table(h[:2], torch.arange(2), w[:2], b[:2])["effective_rank"] == pytest.approx(1)
    assert notes(h[:1], torch.zeros(1).long(), w, b)["effective_rank"] == "all features coincide"


def test_features_in_a_small_subspace_do_not_gain_rank_from_rounding():
    """Products in float32 would make 2 % of the entropy of 20 directions out of the other 236."""
    g = torch.Generator().manual_seed(0)
    h = torch.randn(2000, 20, generator=g) @ torch.randn(20, 256, generator=g)
    found = table(h, torch.arange(2000) % 6, torch.randn(6, 256, generator=g))["effective_rank"]
    assert found == pytest.approx(effective_rank(h.double().numpy()), rel=1e-5)
    assert found < 20


def test_a_classifier_of_zeros_has_no_shape():
    h, y, w, b = cloud()
    missing = notes(h, y, torch.zeros_like(w), torch.zeros_like(b))
    assert missing.keys() == (WEIGHTS_ONLY - {"nc0"}) | {"nc3", "nc3_wh", "nc3_uniform", "minority_cosine"}
    found = table(h, y, torch.zeros_like(w), torch.zeros_like(b))
    assert found["nc0"] == found["nc4_bias"] == 0
    assert found["nll"] == pytest.approx(math.log(6))
    assert found["accuracy"] == pytest.approx(1 / 6)  # all logits equal: class 0
    assert found["ece"] == pytest.approx(0, abs=1e-7)
    assert found["brier"] == pytest.approx(5 / 6)
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
