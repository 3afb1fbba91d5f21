"""Texts look as matplotlib's, and are laid out once however often they are written."""

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from numpy.typing import NDArray

from ncmix.plots import letters
from ncmix.plots.letters import Canvas, Renderer

HIGH, WIDE = 40, 160
SMALL, BOLD = FontProperties(size=7.0), FontProperties(size=9.0, weight="bold")


def ink(renderer: RendererAgg, text: str, font: FontProperties, at: tuple[float, float], angle: float = 0) -> NDArray:
    """How much of each pixel a text covers that begins there; y is downwards."""
    renderer.draw_text(renderer.new_gc(), *at, text, font, angle)
    return np.asarray(renderer.buffer_rgba())[..., 3].astype(float)


def both(text: str, font: FontProperties, at: tuple[float, float], angle: float = 0) -> tuple[NDArray, NDArray]:
    """By matplotlib's renderer and by ours."""
    theirs, ours = (ink(kind(WIDE, HIGH, 160), text, font, at, angle) for kind in (RendererAgg, Renderer))
    assert theirs.sum() > 0
    return theirs, ours


@pytest.mark.parametrize("font", [SMALL, BOLD], ids=["small", "bold"])
@pytest.mark.parametrize("text", ["0.25", "10⁻³", "Wμ + b", "gjpqy|", "fi ffl AVA"])
@pytest.mark.parametrize("x", [8.0, 8.25, 8.5, 8.75])
def test_on_a_quarter_of_a_pixel_and_a_whole_line_a_text_is_the_same(text, font, x):
    theirs, ours = both(text, font, (x, 25.0))
    # Where letters touch, one is laid over the other in another order.
    assert np.abs(theirs - ours).max() <= 2


@pytest.mark.parametrize("at", [(8.13, 25.5), (9.9, 24.51), (-3.2, 25.0), (140.6, 2.0)])
def test_anywhere_it_is_moved_by_less_than_can_be_seen(at):
    theirs, ours = both("nc2_angle", SMALL, at)
    assert ours.sum() == pytest.approx(theirs.sum(), rel=0.1)
    for axis, most in ((0, 0.13), (1, 0.51)):
        middles = [np.average(np.arange(ink.shape[1 - axis]), weights=ink.sum(axis)) for ink in (theirs, ours)]
        assert abs(middles[0] - middles[1]) <= most


def test_what_stands_upright_is_matplotlib_s():
    theirs, ours = both("1.00", SMALL, (30.3, 35.2), angle=90)
    assert (theirs == ours).all()


@pytest.mark.parametrize("text", ["train", "", "½"])
def test_measures_are_matplotlib_s(text):
    theirs, ours = (kind(9, 9, 160) for kind in (RendererAgg, Renderer))
    assert ours.get_text_width_height_descent(text, BOLD, False) == theirs.get_text_width_height_descent(
        text, BOLD, False
    )


def test_a_text_that_was_written_before_is_known():
    renderer = Renderer(WIDE, HIGH, 101)
    before = letters._written.cache_info()
    for x in (8.0, 48.0, 88.1):
        ink(renderer, "known", SMALL, (x, 20.0))
    after = letters._written.cache_info()
    assert (after.misses - before.misses, after.hits - before.hits) == (1, 2)


def test_other_sizes_weights_and_resolutions_are_other_texts():
    def written(font: FontProperties, dpi: int) -> float:
        return float(ink(Renderer(WIDE, HIGH, dpi), "other", font, (8.0, 20.0)).sum())

    assert len({written(font, dpi) for font in (SMALL, BOLD) for dpi in (80, 160)}) == 4


def test_what_was_written_under_other_settings_is_another_text():
    """Else a picture would depend on what was drawn before it."""
    for hinting in ("force_autohint", "no_hinting"):
        with rc_context({"text.hinting": hinting}):
            theirs, ours = both("hinted 0.25", SMALL, (8.0, 25.0))
        assert np.abs(theirs - ours).max() <= 2


def test_a_figure_is_drawn_in_colour():
    figure = Figure(figsize=(1, 1), dpi=50)
    figure.text(0.1, 0.5, "red", color="#ff0000")
    pictures = []
    for kind in (FigureCanvasAgg, Canvas):
        canvas = kind(figure)
        canvas.draw()
        pictures.append(np.asarray(canvas.buffer_rgba()).astype(int))
    theirs, ours = pictures
    assert (ours[..., 0] == 255).all()
    assert ours[..., 1].min() == pytest.approx(theirs[..., 1].min(), abs=40)
