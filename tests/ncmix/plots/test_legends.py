"""Legends stand where matplotlib's would, in columns that are as wide as their longest name."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ncmix.plots.legends import Corner, Legend
from ncmix.plots.letters import Canvas

NAMES = ["ERM", "mixup", "a name that is longer", "cutmix", "focal"]


def drawn(columns: int, corner: Corner) -> tuple[Figure, Legend]:
    """A legend in a figure of six by two inches."""
    figure = Figure(figsize=(6, 2), dpi=100)
    made = Legend(figure, [Line2D([], [], linewidth=2) for _ in NAMES], NAMES, columns, corner, "#000000")
    Canvas(figure).draw()
    return figure, made


def left_and_top(figure: Figure, texts: list) -> np.ndarray:
    """Where each name begins, in pixels."""
    renderer = Canvas(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in texts]
    return np.array([(box.x0, box.y1) for box in boxes])


@pytest.mark.parametrize("columns", [1, 2, 3, 5])
@pytest.mark.parametrize("side", ["left", "right"])
def test_names_stand_where_matplotlib_would_put_them(columns, side):
    figure, made = drawn(columns, (side, 0.5, 0.4))
    other = Figure(figsize=(6, 2), dpi=100)
    theirs = other.legend(
        [Line2D([], [], linewidth=2) for _ in NAMES], NAMES, ncols=columns, fontsize=8, frameon=False, borderpad=0,
        borderaxespad=0, handlelength=2.4, columnspacing=1.6, loc=f"upper {side}",
        bbox_to_anchor=(0.5 / 6 if side == "left" else 1 - 0.5 / 6, 1 - 0.4 / 2),
    )  # fmt: skip
    Canvas(other).draw()
    ours = left_and_top(figure, made.get_texts())
    if columns in (1, 5):  # else matplotlib fills its columns evenly, ours row by row
        np.testing.assert_allclose(ours, left_and_top(other, theirs.get_texts()), atol=2)
    assert (np.diff(np.unique(ours[:, 0].round())) > 30).all()


def test_columns_are_filled_one_after_the_other():
    figure, made = drawn(2, ("left", 0.5, 0.4))
    at = left_and_top(figure, made.get_texts())
    assert len({round(x) for x, _ in at}) == 2
    assert (at[:3, 0] == at[0, 0]).all()
    assert (np.diff(at[:3, 1]) < -10).all()
    assert at[3, 1] == pytest.approx(at[0, 1], abs=2)


def test_the_handle_is_beside_its_name():
    figure, made = drawn(1, ("left", 0.5, 0.4))
    for handle, text in zip(made.get_children()[: len(NAMES)], made.get_texts(), strict=True):
        (start, y), (end, _) = handle.get_xydata()
        box = text.get_window_extent(Canvas(figure).get_renderer())
        assert start < end < box.x0
        assert box.y0 < y < box.y1


def test_it_is_one_of_the_figure_s_legends():
    figure, made = drawn(2, ("right", 0.2, 0.2))
    assert figure.legends == [made]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == NAMES
