"""Plain ticks: numbers beside an axis as a few artists, where matplotlib makes five objects for each of them.

For axes whose ticks are numbers and that have no label; matplotlib draws the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
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

# Points: the length and width of a tick. Inches: from an axis to its numbers.
_LENGTH, _WIDTH, _AWAY = 3.0, 0.6, 6.5 / 72
# Where matplotlib has grid and ticks: below and above what is drawn.
_BELOW, _ABOVE = 0.5, 2.01


@dataclass(frozen=True)
class _Way:
    """Which way ticks point: matplotlib's number of the marker, the direction, how numbers stand there."""

    marker: int
    x: int
    y: int
    ha: str
    va: str


_LEFT = _Way(0, -1, 0, "right", "center_baseline")
_DOWN = _Way(3, 0, -1, "center", "top")


def none(axis: Axis) -> None:
    """Let an axis have neither ticks nor grid."""
    axis.set_visible(False)
    axis.set_major_locator(NullLocator())
    axis.set_minor_locator(NullLocator())


def plain(axes: Axes, axis: Axis, colours: theme.Palette, *, grid: bool) -> None:
    """Draw the ticks that the axis would draw, once its limits, locator and formatter are set.

    With `grid` also lines behind what is drawn, as the axis would.
    """
    axis.set_visible(False)
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    places = [float(at) for at in axis.get_major_locator()() if low - slack <= at <= high + slack]
    words = axis.get_major_formatter().format_ticks(places)
    if axis is axes.yaxis:
        _draw(axes, axes.get_yaxis_transform(), [(0.0, at) for at in places], words, colours, _LEFT)
    else:
        _draw(axes, axes.get_xaxis_transform(), [(at, 0.0) for at in places], words, colours, _DOWN)
    if grid:
        _grid(axes, places, colours)


def _draw(
    axes: Axes,
    along: Transform,
    at: Sequence[tuple[float, float]],
    words: Sequence[str],
    colours: theme.Palette,
    way: _Way,
) -> None:
    how: dict[str, Any] = {"linestyle": "", "marker": MarkerStyle(way.marker), "markeredgewidth": _WIDTH}
    x, y = zip(*at, strict=True) if at else ((), ())
    marks = Line2D(x, y, color=colours.muted, markersize=_LENGTH, transform=along, **how)
    away = along + ScaledTranslation(way.x * _AWAY, way.y * _AWAY, _figure(axes).dpi_scale_trans)
    said = {"color": colours.muted, "fontsize": theme.SMALL, "transform": away, "ha": way.ha, "va": way.va}
    _Together(axes, [marks, *(Text(*place, word, **said) for place, word in zip(at, words, strict=True))], _ABOVE)


def _grid(axes: Axes, places: Sequence[float], colours: theme.Palette) -> None:
    lines = [((0, at), (1, at)) for at in places]
    along = axes.get_yaxis_transform()
    _Together(axes, [LineCollection(lines, colors=colours.grid, linewidths=_WIDTH, transform=along)], _BELOW)


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
