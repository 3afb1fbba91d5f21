"""Lines one by one or together show the same values in the same colours."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from ncmix import plots
from ncmix.plots import draw, strokes, theme
from ncmix.results import MetricRow, Run

# The first value is undefined.
VALUES = {0: None, 1: 1.0, 5: 0.2, 9: 0.1}
Dot = tuple[tuple[float, float], str]


def drawn(count: int, split: str) -> Axes:
    """The panel of so many runs with the same short curve."""
    rows = tuple(MetricRow(epoch, split, "nc1", value) for epoch, value in VALUES.items())
    return draw(plots.nc([Run(f"run {number}", {}, rows) for number in range(count)])).axes[0]


def one_by_one(axes: Axes) -> list[Dot]:
    return [(tuple(at), to_hex(line.get_color())) for line in axes.lines for at in line.get_xydata()[1:]]


def together(axes: Axes) -> list[Dot]:
    """Many lines are two artists."""
    lines, dots = axes.collections
    assert not axes.lines
    assert len(lines.get_segments()) == len(lines.get_colors())
    colours = map(to_hex, dots.get_edgecolor())
    return [(tuple(at), colour) for at, colour in zip(dots.get_offsets().tolist(), colours, strict=True)]


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("count", [1, strokes._MANY - 1, strokes._MANY, 20])
def test_a_short_curve_has_a_dot_at_every_value_in_its_colour(count, split):
    axes = drawn(count, split)
    found = together(axes) if count >= strokes._MANY else one_by_one(axes)
    hues = theme.run_colours(theme.palette("light"), "light", count)
    assert found == [((epoch, value), hue) for hue in hues for epoch, value in VALUES.items() if value]


@pytest.mark.parametrize(("split", "filled"), [("train", True), ("test", False)])
def test_dots_of_the_test_split_are_hollow_also_if_they_are_many(split, filled):
    _, dots = drawn(20, split).collections
    faces = {to_hex(face) for face in dots.get_facecolor()}
    assert faces == ({to_hex(edge) for edge in dots.get_edgecolor()} if filled else {"#ffffff"})


def test_a_dot_is_as_large_together_as_by_itself():
    axes = drawn(1, "train"), drawn(20, "train")
    (line,), (_, dots) = axes[0].lines, axes[1].collections
    marker = line._marker
    alone = marker.get_path().transformed(marker.get_transform().frozen().scale(line.get_markersize()))
    (scale,) = {float(t[0, 0]) for t in dots.get_transforms()}
    many = dots.get_paths()[0].transformed(dots.get_transform()).vertices * scale
    np.testing.assert_allclose(np.ptp(many, axis=0), np.ptp(alone.vertices, axis=0))
