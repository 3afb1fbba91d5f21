"""Draws clouds: mixed features in the plane of three classifiers, one square panel each, and their key.

Shapes: P mixtures, X points of any kind, 3 classifiers, 2 coordinates in the plane.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ncmix.plots import layout, naming, theme, ticks
from ncmix.plots.dots import Dots
from ncmix.plots.options import Size
from ncmix.plots.picture import Cloud, Panel, Picture
from ncmix.results import Channels, Probe

# More dots than this in a file of vectors become a bitmap a panel: no viewer opens a million circles.
_MOST_SHAPES = 20_000

LONGEST_CLASS = 20

# Inches from the top to what names share, and what that takes.
_SHARED_DOWN, _SHARED_LINE = 0.40, 0.22

# Inches of a class's name: about a bold character's width, a line's height.
CHARACTER, LINE = 0.085, 0.14


def draw(picture: Picture, colours: theme.Palette, size: Size) -> Figure:
    """The figure of a picture whose panels hold a cloud each."""
    small, large = picture.layout == "grid", picture.layout == "plane"
    shared, names = naming.apart(picture.groups)
    frame = _fitted(picture, shared, size)
    figure = theme.canvas(frame.width, frame.height, colours)
    theme.title(figure, picture.title, frame.left, colours)
    if shared:
        theme.subtitle(figure, naming.shortened(shared, int(frame.width / 0.07)), frame.left, _SHARED_DOWN, colours)
    crowded = sum(len(_cloud(panel).probe.points) for panel in picture.panels) > _MOST_SHAPES
    for panel, place in zip(picture.panels, frame.places(), strict=True):
        axes = figure.add_axes(place, axes_class=ticks.Bare)
        across = _panel(axes, panel, frame.side, colours, named=not small, dpi=size.dpi if crowded else None)
        name, said = naming.words(panel, picture, names)
        if large:
            _ticks(axes, colours)
        else:
            said = f"{said} · width {across:.2g}"
        # In a grid only the first of a row has a name, which may go on over the others.
        room = frame.width - frame.left if small else frame.side
        name = naming.shortened(name, int(room / 0.08)) if name else ""
        said = naming.shortened(said, int(frame.side / 0.047))
        theme.head(axes, name, said, colours)
    _key(
        figure, frame.left, "theory" in picture.key, "axes in units of h" if large else "widths in units of h", colours
    )
    return figure


def _fitted(picture: Picture, shared: str, size: Size) -> layout.Planes:
    frame = layout.PLANES[picture.layout]
    frame = replace(frame, title=frame.title + _SHARED_LINE) if shared else frame
    return frame.fitted(len(picture.panels), picture.columns, size)


def _cloud(panel: Panel) -> Cloud:
    (cloud,) = (mark for mark in panel.marks if isinstance(mark, Cloud))
    return cloud


def _panel(axes: Axes, panel: Panel, side: float, colours: theme.Palette, *, named: bool, dpi: int | None) -> float:
    """Draw it; gives the width of what its frame shows."""
    cloud = _cloud(panel)
    probe, rows_32 = cloud.probe, cloud.factor * np.asarray(cloud.probe.classifier, np.float64)
    _points(axes, probe.points, hues(probe, colours), side, dpi)
    _rows(axes, rows_32, side, colours)
    if probe.theory:
        _theory(axes, probe.theory, side, colours)
    paths = probe.theory.different.reshape(-1, 2) if probe.theory else []
    shown_X2 = np.vstack([probe.points, rows_32, [[0, 0]], *paths])
    return _frame_and_names(axes, shown_X2, rows_32, side, probe.class_names if named else [], colours)


def _theory(axes: Axes, channels: Channels, side: float, colours: theme.Palette) -> None:
    """The channels of the theory as lines, and as rings where all mixtures within a class should lie."""
    _lines(axes, list(channels.different), (colours.theory, 1.3), (colours.paper, 2.8), 3.5)
    how = {"markerfacecolor": "none", "markeredgecolor": colours.theory, "markeredgewidth": 1.4}
    _signs(axes, channels.same, "o", 70, side, **how, zorder=3.6)


def _lines(
    axes: Axes, paths: Sequence[NDArray[np.floating]], ink: tuple[str, float], halo: tuple[str, float], zorder: float
) -> None:
    """Lines of a colour and width, each on a broader one, which parts them from the points."""
    for (colour, width), above in ((halo, zorder - 0.1), (ink, zorder)):
        made = LineCollection(paths, colors=colour, linewidths=width, capstyle="projecting", zorder=above)
        axes.add_collection(made, autolim=False)


def _signs(axes: Axes, at_X2: NDArray[np.floating], marker: str, area: float, side: float, **how: str | float) -> None:
    """Markers of that area (points²) in a panel of the usual size."""
    size = (area * _shrunk(side)) ** 0.5
    axes.add_artist(Line2D(*at_X2.T, linestyle="", marker=marker, markersize=size, **how))


def _shrunk(side: float) -> float:
    """How much smaller than in a panel of the usual size the areas of signs are in a smaller one."""
    return min(1.0, side / layout.PLANES["plane"].side)


def hues(probe: Probe, colours: theme.Palette) -> NDArray[np.float64]:
    """RGB (P, 3): the hue of the pair in full at λ = 0 and 1, ink at λ = ½."""
    same_P1 = (probe.first == probe.second)[:, None]
    hue_P3 = np.where(same_P1, to_rgb(colours.same), to_rgb(colours.different))
    return _shaded(hue_P3, probe.lam, colours)


def _shaded(hue_P3: NDArray[np.float64], lam_P: NDArray[np.floating], colours: theme.Palette) -> NDArray[np.float64]:
    bright_P1 = np.abs(2 * lam_P.astype(np.float64) - 1)[:, None]
    return bright_P1 * hue_P3 + (1 - bright_P1) * np.array(to_rgb(colours.ink))


def _points(
    axes: Axes, points_P2: NDArray[np.floating], rgb_P3: NDArray[np.float64], side: float, dpi: int | None
) -> None:
    # In the order drawn, a mixed one: neither kind of pair may hide the other.
    order_P = np.random.default_rng(0).permutation(len(points_P2))
    # Not scatter, which would look for the limits of the data, panel by panel: they are set later.
    area = _size(len(points_P2)) * _shrunk(side)
    axes.add_collection(Dots(axes, points_P2[order_P], rgb_P3[order_P], area, dpi), autolim=False)


def _size(points: int) -> float:
    """The area of a dot in points²: smaller where there are many."""
    return float(np.clip(14_000 / points, 1.0, 14.0))


def _rows(axes: Axes, rows_32: NDArray[np.float64], side: float, colours: theme.Palette) -> None:
    _lines(axes, [np.stack([0 * tip_2, tip_2]) for tip_2 in rows_32], (colours.ink, 1.1), (colours.paper, 2.4), 3.0)
    _signs(
        axes, rows_32, "D", 52, side, color=colours.ink, markeredgecolor=colours.paper, markeredgewidth=1.0, zorder=4
    )


def _frame_and_names(
    axes: Axes,
    shown_X2: NDArray[np.floating],
    rows_32: NDArray[np.float64],
    inches: float,
    class_names: Sequence[str],
    colours: theme.Palette,
) -> float:
    """A square frame around all that is shown, with each class's name above or below what surrounds its classifier.

    Gives its width in units of the axes.
    """
    middle_2, side = _square(shown_X2)
    if class_names:
        names = [naming.shortened(name, LONGEST_CLASS) for name in class_names]
        at_32, middle_2, side = placed(shown_X2, rows_32, inches, names)
        _names(axes, at_32, names, colours)
    _frame(axes, middle_2, side, colours)
    return side


def _names(axes: Axes, at_32: NDArray[np.float64], names: Sequence[str], colours: theme.Palette) -> None:
    for (x, y), name in zip(at_32, names, strict=True):
        text = axes.text(x, y, name, ha="center", va="center", color=colours.ink, fontsize=theme.PANEL, zorder=5)
        text.set_fontweight("bold")


def placed(
    shown_X2: NDArray[np.floating], rows_32: NDArray[np.float64], inches: float, names: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Where names stand clear of all that is shown in a square of so many inches; its middle and side, to hold both."""
    half_32 = np.array([(0.5 * CHARACTER * len(name), 0.5 * LINE) for name in names])
    # The names enlarge the frame, and a larger frame the names: the second guess is close enough.
    side = _placed(shown_X2, rows_32, _square(shown_X2)[1] / inches * half_32)[2]
    return _placed(shown_X2, rows_32, side / inches * half_32)


def _placed(
    shown_X2: NDArray[np.floating], rows_32: NDArray[np.float64], room_32: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The places of names of half those sizes, and the middle and side of a square around everything."""
    at_32 = np.array([_clear_of(shown_X2, row_2, room_2) for row_2, room_2 in zip(rows_32, room_32, strict=True)])
    return at_32, *_square(np.vstack([shown_X2, at_32 - room_32, at_32 + room_32]))


def _clear_of(
    shown_X2: NDArray[np.floating], row_2: NDArray[np.float64], room_2: NDArray[np.float64]
) -> tuple[float, float]:
    """Where a name of half that size stands above a row that points up, or below it, clear of everything shown."""
    over_X = np.abs(shown_X2[:, 0] - row_2[0]) <= max(1.1 * room_2[0], 3 * room_2[1])
    up = 1.0 if row_2[1] >= 0 else -1.0
    return float(row_2[0]), float(up * (up * shown_X2[over_X, 1]).max() + up * 2.6 * room_2[1])


def _square(all_X2: NDArray[np.floating]) -> tuple[NDArray[np.float64], float]:
    """The middle and the side of a square around all of it, with a margin."""
    low_2, high_2 = all_X2.min(axis=0).astype(np.float64), all_X2.max(axis=0).astype(np.float64)
    return (low_2 + high_2) / 2, float((high_2 - low_2).max()) * 1.06 or 1.0


def _frame(axes: Axes, middle_2: NDArray[np.float64], side: float, colours: theme.Palette) -> None:
    x, y = middle_2
    axes.set_xlim(x - side / 2, x + side / 2)
    axes.set_ylim(y - side / 2, y + side / 2)
    axes.set_aspect("equal", adjustable="box")
    axes.spines[:].set(visible=True, color=colours.grid, linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        ticks.none(axis)


def _ticks(axes: Axes, colours: theme.Palette) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=theme.STEPS))
        ticks.plain(axes, axis, colours, grid=False)


def _key(figure: Figure, left: float, theory: bool, unit: str, colours: theme.Palette) -> None:
    """Two strips of colour over λ, the signs of a classifier row and of the theory, and what is said of the unit."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes(((left + 0.95) / width, 0.36 / height, 1.4 / width, 0.27 / height))
    lam = np.linspace(0, 1, 256)
    strips = [_shaded(np.array([to_rgb(hue)]), lam, colours) for hue in (colours.same, colours.different)]
    axes.imshow(np.stack(strips), aspect="auto", extent=(0, 1, 2, 0), interpolation="nearest")
    axes.plot([0, 1], [1, 1], color=colours.paper, linewidth=1.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.5, 1], ["λ = 0", "½", "1"])
    axes.set_yticks([0.5, 1.5], ["same class", "different classes"])
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=3, labelsize=theme.SMALL, labelcolor=colours.ink)
    axes.scatter([1.22], [0.5], s=30, c=colours.ink, marker="D", linewidths=0, clip_on=False)
    if theory:
        axes.plot([1.16, 1.28], [1.5, 1.5], color=colours.theory, linewidth=1.3, clip_on=False)
    said = ["classifier row", *(["theory, best fit"] if theory else []), unit]
    for place, text in enumerate(said):
        y = place + 0.5
        note = axes.annotate(text, (1.22, y), (8, 0), textcoords="offset points", va="center")
        note.set(color=colours.ink, fontsize=theme.SMALL, annotation_clip=False)
