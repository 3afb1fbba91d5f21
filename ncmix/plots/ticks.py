"""Plain ticks: numbers beside an axis as a few artists, where matplotlib makes five objects for each of them.

For axes whose ticks are numbers and that have no label; matplotlib draws the others.
"""

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backend_bases import RendererBase
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.text import Text
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation, Transform

from ncmix.plots import theme

# Points: of a tick, and from an axis to its numbers.
_LENGTH, _AWAY, _WIDTH = 3.0, 6.5, 0.6
# Where matplotlib has grid and ticks: below and above what is drawn.
_BELOW, _ABOVE = 0.5, 2.01
# matplotlib's numbers for ticks that go left and down.
_LEFT, _DOWN = 0, 3


def plain(axes: Axes, axis: Axis, colours: theme.Palette, *, ticked: bool = True, grid: bool = True) -> None:
    """Draw the ticks that the axis would draw, once its limits, locator and formatter are set; or none.

    A vertical axis has a `grid` as well.
    """
    axis.set_visible(False)
    if not ticked:
        axis.set_major_locator(NullLocator())
        axis.set_minor_locator(NullLocator())
        return
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    places = [float(at) for at in axis.get_major_locator()() if low - slack <= at <= high + slack]
    words = axis.get_major_formatter().format_ticks(places)
    if axis is axes.xaxis:
        _below(axes, places, words, colours)
        return
    if grid:
        _grid(axes, places, colours)
    _beside(axes, places, words, colours)


def _below(axes: Axes, places: Sequence[float], words: Sequence[str], colours: theme.Palette) -> None:
    along = axes.get_xaxis_transform()
    away = along + ScaledTranslation(0, -_AWAY / 72, _figure(axes).dpi_scale_trans)
    how = {"color": colours.muted, "fontsize": theme.SMALL, "transform": away, "ha": "center", "va": "top"}
    numbers = [Text(at, 0, word, **how) for at, word in zip(places, words, strict=True)]
    _Together(axes, [_marks(places, [0.0] * len(places), _DOWN, along, colours), *numbers], _ABOVE)


def _beside(axes: Axes, places: Sequence[float], words: Sequence[str], colours: theme.Palette) -> None:
    along = axes.get_yaxis_transform()
    away = along + ScaledTranslation(-_AWAY / 72, 0, _figure(axes).dpi_scale_trans)
    how = {"color": colours.muted, "fontsize": theme.SMALL, "transform": away, "ha": "right", "va": "center_baseline"}
    numbers = [Text(0, at, word, **how) for at, word in zip(places, words, strict=True)]
    _Together(axes, [_marks([0.0] * len(places), places, _LEFT, along, colours), *numbers], _ABOVE)


def _grid(axes: Axes, places: Sequence[float], colours: theme.Palette) -> None:
    lines = [((0, at), (1, at)) for at in places]
    along = axes.get_yaxis_transform()
    _Together(axes, [LineCollection(lines, colors=colours.grid, linewidths=_WIDTH, transform=along)], _BELOW)


def _marks(x: Sequence[float], y: Sequence[float], way: int, along: Transform, colours: theme.Palette) -> Line2D:
    how: dict[str, Any] = {"color": colours.muted, "markersize": _LENGTH, "markeredgewidth": _WIDTH, "transform": along}
    return Line2D(x, y, linestyle="", marker=MarkerStyle(way), **how)


def _figure(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    if figure is None:
        raise RuntimeError("The axes are in no figure.")
    return figure


class _Together(Artist):
    """Parts that are drawn together, and are none of what axes show: not in their lines, texts or collections."""

    def __init__(self, axes: Axes, parts: Sequence[Artist], zorder: float) -> None:
        super().__init__()
        self._parts = parts
        self.set_zorder(zorder)
        axes.add_artist(self)
        for part in parts:
            part.axes = axes
            part.set_figure(_figure(axes))

    def draw(self, renderer: RendererBase) -> None:
        """Draw every part."""
        for part in self._parts:
            part.draw(renderer)

    def get_children(self) -> list[Artist]:
        """The parts, for who looks for texts."""
        return list(self._parts)
