"""Plain ticks: words beside an axis as a few artists, where matplotlib makes five objects for each of them.

Where a label stands beyond words of any width, matplotlib draws: it has to measure them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.axis import Axis, XAxis, YAxis
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
# Inches from a horizontal axis to its label: past the numbers, which are all of one height.
_BELOW_NUMBERS = 16.65 / 72
# Where matplotlib has grid and ticks: below and above what is drawn.
_BELOW, _ABOVE = 0.5, 2.01


@dataclass(frozen=True)
class _Way:
    """Which way ticks point: matplotlib's number of the marker, the direction, how words stand there."""

    marker: int
    x: int
    y: int
    ha: str
    va: str
    rotation: float = 0.0


_LEFT = _Way(0, -1, 0, "right", "center_baseline")
_DOWN = _Way(3, 0, -1, "center", "top")


class Bare(Axes):
    """Axes that make a tick when it is to be drawn: matplotlib's make some at once, to dress and clip them."""

    def __init__(self, figure: Figure, *place: Any, **fields: Any) -> None:
        """As matplotlib's."""
        super().__init__(figure, *place, **fields)
        for spine in self.spines.values():  # a tick that is made puts them there
            spine.set_position(("outward", 0.0))

    def _init_axis(self) -> None:
        self.xaxis, self.yaxis = _BareX(self, clear=False), _BareY(self, clear=False)
        for axis, sides in ((self.xaxis, ("bottom", "top")), (self.yaxis, ("left", "right"))):
            for side in sides:
                self.spines[side].register_axis(axis)


def sheet(figure: Figure) -> Axes:
    """Axes over the whole figure that are measured in its inches, in which only that is seen which is put there."""
    wide, high = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1), axes_class=Bare, xlim=(0, wide), ylim=(0, high))
    axes.set_axis_off()
    return axes


class _Late(Axis):
    """Has no ticks until it is asked for them; they are born as it was told."""

    def reset_ticks(self) -> None:
        """Forget them."""
        for name in ("majorTicks", "minorTicks"):  # in the place of what would make one at the first look
            setattr(self, name, [])


class _BareX(_Late, XAxis):
    pass


class _BareY(_Late, YAxis):
    pass


def none(axis: Axis) -> None:
    """Let an axis have neither ticks nor grid."""
    axis.set_visible(False)
    axis.set_major_locator(NullLocator())
    axis.set_minor_locator(NullLocator())


def whole(axis: Axis) -> None:
    """Let matplotlib draw the ticks; they are dressed by the settings of now."""
    axis.get_major_ticks(1)


def plain(axes: Axes, axis: Axis, colours: theme.Palette, *, grid: bool, label: str = "") -> None:
    """Draw the ticks that the axis would draw, once its limits, locator and formatter are set.

    With `grid` also lines behind what is drawn, as the axis would; the label below, of a horizontal axis.
    """
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    places = [float(at) for at in axis.get_major_locator()() if low - slack <= at <= high + slack]
    named(axes, axis, list(zip(places, axis.get_major_formatter().format_ticks(places), strict=True)), colours)
    if label:
        axis.label.set_visible(False)  # of an axis that is not drawn it would not know where it is
        _label(axes, label, colours)
    if grid:
        _grid(axes, places, colours)


def named(
    axes: Axes, axis: Axis, names: Sequence[tuple[float, str]], colours: theme.Palette, *, upright: bool = False
) -> None:
    """Draw ticks with these names at these places, written upwards if so wished."""
    axis.set_visible(False)
    if axis is axes.yaxis:
        at, along, way = [(0.0, place) for place, _ in names], axes.get_yaxis_transform(), _LEFT
    else:
        at, along, way = [(place, 0.0) for place, _ in names], axes.get_xaxis_transform(), _DOWN
    _draw(axes, along, at, [name for _, name in names], colours, replace(way, rotation=90.0 * upright))


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
    said = {"color": colours.muted, "fontsize": theme.SMALL, "transform": away}
    said |= {"ha": way.ha, "va": way.va, "rotation": way.rotation}
    _Together(axes, [marks, *(Text(*place, word, **said) for place, word in zip(at, words, strict=True))], _ABOVE)


def _label(axes: Axes, label: str, colours: theme.Palette) -> None:
    below = axes.transAxes + ScaledTranslation(0, -_BELOW_NUMBERS, _figure(axes).dpi_scale_trans)
    said = {"color": colours.muted, "fontsize": theme.LABEL, "ha": "center", "va": "top", "transform": below}
    _Together(axes, [Text(0.5, 0, label, **said)], _ABOVE)


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
