"""What metrics do not depend on: rotation, names of classes, order, scale, and the point from which features count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ncmix.metrics.clouds import classified, cloud, table

shapes = {
    "classes": st.integers(2, 7),
    "dimension": st.integers(7, 12),
    "samples": st.integers(30, 80),
    "noise": st.floats(1e-3, 1),
    "dtype": st.just(torch.float64),
    "seed": st.integers(0, 2**32),
}
clouds = st.builds(cloud, **shapes) | st.builds(classified, scale=st.floats(0.1, 10), **shapes)


def measured(*features):
    """The table of a test split, which has every metric."""
    return table(*features, split="test")


def same(table, relative=1e-8, absolute=1e-10):
    """Equal but for rounding; a temperature next to chance magnifies that."""
    loose = {"temperature": 1e-5, "ece_scaled": 1e-5}
    return {n: v if v is None else pytest.approx(v, rel=loose.get(n, relative), abs=absolute) for n, v in table.items()}


@given(clouds, st.integers(0, 2**32))
@settings(deadline=None, max_examples=30)
def test_a_rotation_of_the_feature_space_changes_nothing(features, seed):
    h, y, w, b = features
    q, _ = torch.linalg.qr(torch.randn(h.shape[1], h.shape[1], generator=torch.Generator().manual_seed(seed)).double())
    assert measured(h @ q, y, w @ q, b) == same(measured(h, y, w, b))


@given(clouds, st.permutations(range(7)))
@settings(deadline=None, max_examples=30)
def test_the_names_of_the_classes_do_not_matter(features, names):
    h, y, w, b = features
    order = torch.tensor([k for k in names if k < len(w)])  # the new class of each
    w_new, b_new = torch.empty_like(w), torch.empty_like(b)
    w_new[order], b_new[order] = w, b
    assert measured(h, order[y], w_new, b_new) == same(measured(h, y, w, b))


@given(clouds, st.permutations(range(30)))
@settings(deadline=None, max_examples=20)
def test_the_order_of_the_samples_does_not_matter_but_for_who_is_held_back(features, head):
    h, y, w, b = features
    order = torch.arange(len(y))
    order[:30] = torch.tensor(head)
    assert table(h[order], y[order], w, b) == same(table(h, y, w, b), 1e-9, 1e-12)
    by_class = y.argsort(stable=True)
    assert measured(h[by_class], y[by_class], w, b) == same(measured(h, y, w, b), 1e-9, 1e-12)


@given(clouds, st.floats(1e-3, 1e3))
@settings(deadline=None, max_examples=30)
def test_a_common_scale_matters_only_where_the_definition_has_units(features, scale):
    """Features times c and weights over c leave the network as it is; all but the norms in W's units are free of c."""
    h, y, w, b = features
    one, other = measured(h, y, w, b), measured(scale * h, y, w / scale, b)
    one["nc0"] /= scale
    assert other == same(one)


@given(clouds, st.floats(1e-2, 1e2))
@settings(deadline=None, max_examples=30)
def test_a_hotter_network_has_a_higher_temperature_and_nothing_else_once_that_is_taken_out(features, heat):
    h, y, w, b = features
    one, other = measured(h, y, w, b), measured(h, y, heat * w, heat * b)
    assert (one["temperature"] is None) == (other["temperature"] is None)
    if one["temperature"] is not None:
        assert other["temperature"] == pytest.approx(heat * one["temperature"], rel=1e-5)
    if one["ece_scaled"] is not None:
        assert other["ece_scaled"] == pytest.approx(one["ece_scaled"], rel=1e-5, abs=1e-10)


@given(clouds)
@settings(deadline=None, max_examples=20)
def test_probabilities_do_not_know_what_all_logits_have_in_common(features):
    h, y, w, b = features
    one, other = measured(h, y, w, b), measured(h, y, w + h[0], b + 5)
    for name in ("accuracy", "nll", "brier", "ece", "ece_adaptive", "ece_scaled", "temperature"):
        assert {name: other[name]} == same({name: one[name]}, 1e-7, 1e-9), name


@given(clouds, st.integers(0, 2**32))
@settings(deadline=None, max_examples=20)
def test_the_effective_rank_does_not_know_the_labels_and_is_a_rank(features, seed):
    h, y, w, b = features
    other = y[torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))]
    found = table(h, y, w, b)["effective_rank"]
    assert table(h, other, w, b)["effective_rank"] == pytest.approx(found, rel=1e-9)
    assert 1 <= found <= h.shape[1]


def test_as_many_directions_as_are_used_alike_are_the_effective_rank():
    for used in (1, 5, 12):
        axes = torch.cat([torch.eye(12)[:used], -torch.eye(12)[:used]]).double()
        found = table(axes, torch.arange(2 * used) % 2, torch.eye(12)[:2].double())
        assert found["effective_rank"] == pytest.approx(used, rel=1e-9)


@given(clouds, st.floats(-20, 20))
@settings(deadline=None, max_examples=20)
def test_moving_all_features_matters_only_to_the_network(features, shift):
    h, y, w, b = features
    about_the_network = {
        "nc4",
        "nc4_bias",
        "accuracy",
        "nll",
        "brier",
        "ece",
        "ece_adaptive",
        "ece_scaled",
        "temperature",
    }
    one, other = measured(h, y, w, b), measured(h + shift, y, w, b)
    kept = one.keys() - about_the_network
    assert {n: other[n] for n in kept} == same({n: one[n] for n in kept}, 1e-7, 1e-9)
    assert measured(h + shift, y, w, b - shift * w.sum(1)) == same(one, 1e-7, 1e-9)


def test_duplicating_every_sample_changes_nothing():
    h, y, w, b = cloud(5, 12, 90)
    twice = table(h.repeat(2, 1), y.repeat(2), w, b)
    once = table(h, y, w, b)
    assert twice.keys() == once.keys()
    for name, value in once.items():
        assert twice[name] == (value and pytest.approx(value, rel=1e-7)), name
