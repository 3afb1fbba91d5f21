"""A picture of very many mixtures shows some of them, says so, and gives them all as data."""

from dataclasses import replace

import numpy as np
import pytest

from ncmix import plots
from ncmix.plots import draw, render
from ncmix.plots.thinning import MOST_MIXTURES, thinned
from tests.ncmix.plots import synthetic

PROBE = synthetic.probe(per_pair=1000)
MANY = [replace(synthetic.run(f"seed {n}"), probes={0: PROBE}) for n in range(1 + MOST_MIXTURES // len(PROBE.points))]


def dots(picture):
    return [len(mark.probe.points) for panel in picture.panels for mark in panel.marks]


def test_a_picture_of_few_mixtures_stays_as_it_is():
    picture = plots.last_layer(MANY[:-1])
    assert thinned(picture) is picture


def test_of_too_many_mixtures_as_many_are_left_in_every_plane_and_the_note_says_how_many():
    picture = thinned(plots.last_layer(MANY))
    each = MOST_MIXTURES // len(MANY)
    assert dots(picture) == [each] * len(MANY)
    assert picture.note == f"{each:,} of {len(PROBE.points):,} mixtures in each plane"
    assert any(picture.note in text.get_text() for text in draw(plots.last_layer(MANY)).texts)
    assert picture.note in render(plots.last_layer(MANY), "html").decode()


def test_planes_with_few_mixtures_keep_them_all():
    small = replace(MANY[0], title="small", probes={0: PROBE.some(np.arange(10))})
    picture = thinned(plots.last_layer([small, *MANY]))
    assert dots(picture)[0] == 10
    assert picture.note == f"{MOST_MIXTURES // (1 + len(MANY)):,} of up to {len(PROBE.points):,} mixtures in each plane"


def test_what_is_left_is_the_same_each_time_and_has_its_share_of_every_pair():
    (first, *_), (again, *_) = (thinned(plots.last_layer(MANY)).panels for _ in range(2))
    kept, same = first.marks[0].probe, again.marks[0].probe
    np.testing.assert_array_equal(kept.points, same.points)
    pairs = [3 * probe.first + probe.second for probe in (PROBE, kept)]
    shares = [np.bincount(pair) / len(pair) for pair in pairs]
    np.testing.assert_allclose(shares[1], shares[0], atol=0.03)
    assert {tuple(point) for point in kept.points} <= {tuple(point) for point in PROBE.points}


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_data_are_given_whole(kind):
    file = render(plots.last_layer(MANY), kind).decode()
    assert "mixtures in each plane" not in file
    if kind == "csv":
        assert file.count(",mixture,") == len(MANY) * len(PROBE.points)
