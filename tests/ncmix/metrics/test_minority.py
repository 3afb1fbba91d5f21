"""Minority collapse: the mean cosine between the classifiers of the classes with few samples."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncmix import metrics
from tests.ncmix.metrics.clouds import notes, simplex, table

FEW = "fewer than two classes have at most half the samples of the largest"


def unequal(counts: list[int], dimension: int = 12, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Features and labels of classes with so many samples."""
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    return torch.randn(len(y), dimension, generator=torch.Generator().manual_seed(seed)), y


def cosine(counts: list[int], w: torch.Tensor) -> float:
    return table(*unequal(counts, w.shape[1]), w)["minority_cosine"]


def test_one_direction_for_the_whole_minority_is_1() -> None:
    w = torch.eye(5, 12)
    w[2:] = torch.tensor([[1.0], [2.0], [7.0]]) * torch.arange(12)
    assert cosine([40, 40, 4, 4, 4], w) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("classes", [4, 10])
def test_a_simplex_has_its_own_angle_whoever_is_the_minority(classes: int) -> None:
    half = classes // 2
    w = simplex(classes, 12)
    assert cosine([40] * half + [4] * half, w) == pytest.approx(-1 / (classes - 1), abs=1e-12)
    assert cosine([4, 4] + [40] * (classes - 2), w) == pytest.approx(-1 / (classes - 1), abs=1e-12)


def test_two_classifiers_of_the_minority_have_their_cosine() -> None:
    w = torch.tensor([[1.0, 0], [3 * math.cos(0.4), 3 * math.sin(0.4)], [0, 1], [-1, 0]], dtype=torch.float64)
    assert cosine([5, 5, 10, 10], w) == pytest.approx(math.cos(0.4), abs=1e-12)


def test_what_is_not_of_the_minority_has_no_say() -> None:
    w = torch.randn(6, 12, generator=torch.Generator().manual_seed(3))
    one = cosine([50, 50, 26, 25, 10, 1], w)
    w[:3] = 9.0
    assert cosine([50, 50, 26, 25, 10, 1], w) == one  # 26 of 50 are more than half


@given(st.integers(0, 2**32), st.floats(0.01, 100), st.permutations(range(6)))
@settings(deadline=None, max_examples=30)
def test_rotation_lengths_and_names_of_classes_do_not_matter(seed: int, scale: float, order: list[int]) -> None:
    g = torch.Generator().manual_seed(seed)
    counts, w = torch.tensor([30, 20, 14, 9, 5, 2]), torch.randn(6, 12, generator=g).double()
    q, _ = torch.linalg.qr(torch.randn(12, 12, generator=g).double())
    lengths = scale * torch.rand(6, 1, generator=g).add(0.1)
    other = cosine(counts[order].tolist(), (lengths * w @ q)[order])
    assert other == pytest.approx(cosine(counts.tolist(), w), rel=1e-9, abs=1e-12)
    assert -1 / 3 - 1e-12 <= other <= 1 + 1e-12  # four classes: no mean cosine is below −1/(4−1)


@pytest.mark.parametrize("counts", [[9, 9, 9], [9, 8, 7], [20, 20, 3], [20, 11, 11]])
def test_without_a_minority_there_is_no_value_but_a_reason(counts: list[int]) -> None:
    assert notes(*unequal(counts), torch.eye(3, 12))["minority_cosine"] == FEW


def test_an_absent_class_is_no_minority() -> None:
    h, y = unequal([20, 20, 2, 2])
    found = metrics.measure("test", h[y != 3], y[y != 3], torch.eye(4, 12))
    assert {m.note for m in found if m.name == "minority_cosine"} == {"class 3 has no sample in this split"}


def test_a_classifier_without_direction_is_named() -> None:
    w = torch.eye(4, 12)
    w[2] = 0
    assert (
        notes(*unequal([20, 20, 2, 2]), w)["minority_cosine"] == "row 2 of the classifier is zero and has no direction"
    )
