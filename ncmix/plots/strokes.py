"""Lines and their bands, as matplotlib draws them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle
from matplotlib.path import Path
from matplotlib.transforms import IdentityTransform
from numpy.typing import NDArray

from ncmix.plots.picture import STYLES, Axis, Line, Panel, Style

# Up to this many points every one of them has its dot.
DOTTED = 16

# Points of a dot, and of the line around it.
_SIZE, _EDGE = 3.4, 0.9

# A polygon that nobody can tell from a circle at this size: of curves, a PDF reckons every time how far they reach.
_ROUND = Path.unit_regular_polygon(24)

# From so many lines of a panel on those of a style are drawn together, which is several times as fast.
_MANY = 8


def draw(axes: Axes, panel: Panel, run_colours: Sequence[str], muted: str) -> None:
    """Draw the lines of a panel, later ones over earlier ones."""
    coloured = [(line, muted if line.group is None else run_colours[line.group]) for line in panel.lines]
    for line, colour in coloured:
        if line.std is not None:
            _band(axes, line, line.std, colour, panel.y)
    if len(coloured) < _MANY:
        for line, colour in coloured:
            _single(axes, line, colour)
        return
    for style in dict.fromkeys(line.style for line, _ in coloured):
        _together(axes, style, [(line, colour) for line, colour in coloured if line.style == style])


def _together(axes: Axes, name: str, coloured: Sequence[tuple[Line, str]]) -> None:
    """Many lines of one style, and the dots of all of them: see `_single`."""
    style = STYLES[name]
    made = LineCollection(
        [np.column_stack([line.x, line.y]) for line, _ in coloured],
        colors=[colour for _, colour in coloured],
        linestyles=style.dashes,
        linewidths=style.width,
        label=name,
        zorder=_above(style),
    )
    axes.add_collection(made, autolim=False)
    dotted = [(line, colour, dots(line.y)) for line, colour in coloured]
    if style.marker and any(places for _, _, places in dotted):
        at = np.concatenate([np.column_stack([line.x, line.y])[places] for line, _, places in dotted])
        edges = [colour for _, colour, places in dotted for _ in places]
        axes.add_collection(_dots(axes, style, at, edges), autolim=False)


def _dots(axes: Axes, style: Style, at_P2: NDArray[np.float64], edges: Sequence[str]) -> PathCollection:
    drawn = MarkerStyle(_marker(style))
    made = PathCollection(
        [drawn.get_path().transformed(drawn.get_transform())],
        [_SIZE**2],
        offsets=at_P2,
        offset_transform=axes.transData,
        edgecolors=edges,
        facecolors=edges if drawn.is_filled() and not style.hollow else axes.get_facecolor(),
        linewidths=_EDGE,
        zorder=_above(style),
    )
    made.set(transform=IdentityTransform(), snap=False)
    return made


def _marker(style: Style) -> Any:
    return _ROUND if style.marker == "o" else style.marker


def _above(style: Style) -> float:
    return 1.9 if style.muted else 2.0


def _single(axes: Axes, line: Line, colour: str) -> None:
    """A line; an undefined value is a gap, and a value between two gaps still shows, as a dot."""
    style = STYLES[line.style]
    made = Line2D(
        line.x,
        line.y,
        color=colour,
        linestyle=style.dashes,
        linewidth=style.width,
        marker=_marker(style),
        markersize=_SIZE,
        markerfacecolor=axes.get_facecolor() if style.hollow else colour,
        markeredgewidth=_EDGE,
        markevery=dots(line.y),
        label=line.style,
        zorder=_above(style),
    )
    # Not add_line, which would look for the limits of the data: they are set already.
    axes.add_artist(made)


def _band(axes: Axes, line: Line, std: NDArray[np.float64], colour: str, vertical: Axis) -> None:
    low, high = line.y - std, line.y + std
    if vertical.log:  # what reaches below zero reaches below any axis
        low, high = np.maximum(low, 0.5 * vertical.low), np.maximum(high, 0.5 * vertical.low)
    axes.fill_between(line.x, low, high, color=colour, alpha=0.18, linewidth=0, zorder=1.8)
    if lone := alone(line.y):  # a band as wide as a point is none
        bars = [((line.x[i], low[i]), (line.x[i], high[i])) for i in lone]
        axes.add_collection(LineCollection(bars, colors=colour, alpha=0.5, linewidths=2.4, zorder=1.8), autolim=False)


def dotted(line: Line) -> bool:
    """Whether a line is short enough to have dots, so that the legend must show what they look like."""
    return bool(STYLES[line.style].marker) and len(line.x) <= DOTTED


def dots(values: NDArray[np.float64]) -> list[int]:
    """Which points get a dot: all of a few, else only those that no line reaches."""
    return np.flatnonzero(np.isfinite(values)).tolist() if len(values) <= DOTTED else alone(values)


def alone(values: NDArray[np.float64]) -> list[int]:
    """Which points stand between two gaps."""
    gap = ~np.isfinite(values)
    if len(values) > 1 and not gap.any():
        return []
    return np.flatnonzero(~gap & np.r_[True, gap[:-1]] & np.r_[gap[1:], True]).tolist()
