"""What metrics do not depend on: rotation, names of classes, order, scale, and the point from which features count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ncmix.metrics.clouds import cloud, table

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
