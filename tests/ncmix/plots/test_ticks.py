"""Plain ticks look as matplotlib's own, to the pixel, and are as many."""

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from ncmix.plots import scales, theme, ticks

COLOURS = theme.palette("light")


def figure(low: float, high: float, *, log: bool) -> Figure:
    """Axes between these limits in both directions, with the ticks that matplotlib makes."""
    with rc_context(theme.settings(COLOURS)):
        made = theme.canvas(3, 2, COLOURS)
        axes = made.add_axes((0.2, 0.2, 0.7, 0.7))
    for axis, scale, limit in (
        (axes.xaxis, axes.set_xscale, axes.set_xlim),
        (axes.yaxis, axes.set_yscale, axes.set_ylim),
    ):
        scale("log" if log else "linear")
        limit(low, high)
        axis.set_major_locator(LogLocator(subs=(1.0, 3.0)) if log else MaxNLocator(4))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(scales.PLAIN)
    return made


def plainly(made: Figure, *, grid: bool = True) -> Figure:
    """The same figure with plain ticks."""
    (axes,) = made.axes
    ticks.plain(axes, axes.xaxis, COLOURS, grid=False)
    ticks.plain(axes, axes.yaxis, COLOURS, grid=grid)
    return made


def pixels(made: Figure) -> NDArray[np.int16]:
    """What is seen, height × width × RGB."""
    canvas = FigureCanvasAgg(made)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(np.int16)


def numbers(made: Figure) -> list[str]:
    """What can be read in it."""
    return [text.get_text() for text in made.findobj(Text) if text.get_text()]


@pytest.mark.parametrize(("low", "high", "log"), [(0.0, 1.0, False), (-7.0, 3.0, False), (0.02, 5.0, True)])
def test_they_look_as_those_of_matplotlib(low: float, high: float, log: bool) -> None:
    theirs, ours = pixels(figure(low, high, log=log)), pixels(plainly(figure(low, high, log=log)))
    # A tick and the axis may lie over each other in the other order.
    assert np.abs(theirs - ours).max() <= 16
    assert np.abs(pixels(Figure(figsize=(3, 2))) - ours).max() > 100


def test_numbers_are_within_the_limits_and_can_be_found() -> None:
    assert numbers(plainly(figure(0.0, 1.0, log=False))) == 2 * ["0", "0.25", "0.5", "0.75", "1"]
    assert numbers(plainly(figure(1.0, 0.0, log=False))) == 2 * ["0", "0.25", "0.5", "0.75", "1"]


def test_an_axis_may_have_none_and_no_grid() -> None:
    bare = figure(0.0, 1.0, log=False)
    for axis in (bare.axes[0].xaxis, bare.axes[0].yaxis):
        ticks.none(axis)
    pixels(bare)
    assert numbers(bare) == []
    grid, none = pixels(plainly(figure(0.0, 1.0, log=False))), pixels(plainly(figure(0.0, 1.0, log=False), grid=False))
    assert (grid != none).any()
