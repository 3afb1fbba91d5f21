"""Interactive figures put as many panels side by side as have room for their heads, in whatever window they are."""

import json
import re
from itertools import pairwise

import pytest

from ncmix import plots
from ncmix.plots import Size, naming, render
from ncmix.plots.arranging import arranged, arrangements
from tests.ncmix.plots import synthetic

RUNS = [synthetic.run(f"cifar10 resnet18 cross_entropy mixup seed {seed}", mixup=True) for seed in range(3)]


def columns(arrangement) -> int:
    return len({x[0] for x, _ in arrangement["places"]})


@pytest.mark.parametrize(("window", "side_by_side"), [(2000, 4), (1000, 3), (700, 2), (320, 1)])
def test_a_narrower_window_has_fewer_panels_side_by_side(window, side_by_side):
    assert arranged(plots.nc(RUNS), window).columns == side_by_side


def test_longer_heads_need_more_room():
    wide = plots.last_layer([synthetic.run("a name of sixty letters, which a bold head of a panel shows")] * 2)
    short = plots.last_layer([synthetic.run("short")] * 2)
    for window in range(300, 1500, 10):
        assert arranged(wide, window).columns <= arranged(short, window).columns


def test_what_is_said_at_length_is_said_in_two_lines():
    assert naming.lines("epoch 40 · eval mode") == ["epoch 40 · eval mode"]
    said = "epoch 40 · eval mode · classifiers ×7 · theory m = 0.7, λₕ = 0.01, off by 12%"
    assert naming.lines(said) == ["epoch 40 · eval mode · classifiers ×7", "theory m = 0.7, λₕ = 0.01, off by 12%"]
    assert naming.lines(60 * "a") == [60 * "a"]


def test_a_grid_keeps_its_columns_which_are_epochs():
    grid = plots.last_layer_grid(RUNS)
    assert arranged(grid, 320).columns == grid.columns == 3
    assert [columns(each) for each in arrangements(grid, Size())] == [3]


def test_a_page_knows_all_arrangements_from_the_widest_on():
    ways = arrangements(plots.nc(RUNS), Size())
    assert [columns(way) for way in ways] == [4, 3, 2, 1]
    assert [way["least"] for way in ways] == sorted((way["least"] for way in ways), reverse=True)
    assert [way["height"] for way in ways] == sorted(way["height"] for way in ways)
    assert all(len(way["places"]) == 16 for way in ways)
    picture = plots.nc(RUNS)
    for way in ways:
        assert arranged(picture, way["least"]).columns == columns(way)
        assert arranged(picture, way["least"] - 1).columns == max(1, columns(way) - 1)


def test_panels_do_not_overlap_and_lie_within_the_figure():
    for way in arrangements(plots.nc(RUNS), Size()):
        for x, y in way["places"]:
            assert 0 <= x[0] < x[1] <= 1
            assert 0 <= y[0] < y[1] <= 1
        rows = {}
        for x, y in way["places"]:
            rows.setdefault(y[0], []).append(x)
        assert all(left[1] < right[0] for row in rows.values() for left, right in pairwise(row))


def test_a_figure_of_a_width_that_is_asked_for_is_arranged_once():
    page = render(plots.nc(RUNS), "html", size=Size(width=8)).decode()
    figure = json.loads(re.search(r'type="application/json">(.*?)</script>', page, re.DOTALL)[1])
    (only,) = figure["arrangements"]
    assert columns(only) == 2
    assert figure["layout"]["width"] == 768
    assert figure["layout"]["height"] == only["height"]
    assert figure["layout"]["xaxis2"]["domain"] == only["places"][1][0]
