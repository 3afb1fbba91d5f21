"""Draws clouds: mixed features in the plane of three classifiers, one square panel each, and their key.

A few planes have axes each, with ticks. Many share one sheet, on which each kind of mark is drawn once for all of them:
axes take longer than what is in them.

Shapes: P mixtures, X points of any kind, 3 classifiers, 2 coordinates in the plane.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from ncmix.plots import framing, layout, naming, theme, ticks
from ncmix.plots.dots import Dots
from ncmix.plots.options import Size
from ncmix.plots.picture import Cloud, Panel, Picture
from ncmix.results import Probe

# More dots than this in a file of vectors become a bitmap a panel: no viewer opens a million circles.
_MOST_SHAPES = 20_000

LONGEST_CLASS = 20

# Of more runs the planes of a grid are smaller, to be seen at one sight.
MOST_ROWS = 6

# Inches from the top to what is said of all planes, and what that takes.
_SAID_DOWN, _SAID_LINE = 0.40, 0.22


def draw(picture: Picture, colours: theme.Palette, size: Size) -> Figure:
    """The figure of a picture whose panels hold a cloud each."""
    shared, names = naming.apart(picture.groups)
    said = ", ".join(filter(None, (shared, picture.note)))
    frame = _fitted(picture, said, size)
    figure = theme.canvas(frame.width, frame.height, colours)
    theme.title(figure, picture.title, frame.left, colours)
    if said:
        theme.subtitle(figure, naming.shortened(said, int(frame.width / 0.07)), frame.left, _SAID_DOWN, colours)
    planes = [
        _plane(panel, head, place, frame.side, named=picture.layout != "grid")
        for panel, head, place in zip(picture.panels, _heads(picture, names, frame), frame.places(), strict=True)
    ]
    crowded = sum(len(plane.probe.points) for plane in planes) > _MOST_SHAPES
    look = _Look(colours, frame.side, size.dpi if crowded else None)
    large = picture.layout == "plane"
    (_apart if large else _together)(figure, planes, look)
    unit = "axes in units of h" if large else "widths in units of h"
    _key(figure, frame.left, "theory" in picture.key, unit, colours)
    return figure


def _fitted(picture: Picture, said: str, size: Size) -> layout.Planes:
    frame = layout.PLANES["tall" if picture.layout == "grid" and len(picture.groups) > MOST_ROWS else picture.layout]
    frame = replace(frame, title=frame.title + _SAID_LINE) if said else frame
    return frame.fitted(len(picture.panels), picture.columns, size)


def _heads(picture: Picture, names: Sequence[str], frame: layout.Planes) -> Iterator[tuple[str, str]]:
    """The names of panels, and what is said below them.

    In a grid only the first of a row has a name, and may go on, and only the first of a column says its epoch.
    """
    grid = picture.layout == "grid"
    room = frame.width - frame.left if grid else frame.side
    for number, panel in enumerate(picture.panels):
        name, said = naming.words(panel, picture, names)
        said = "" if grid and number >= frame.columns else said
        yield naming.shortened(name, int(room / 0.08)) if name else "", said


@dataclass(frozen=True)
class _Look:
    """How planes are drawn: colours, inches of a side, and how fine dots are in files of vectors, None as shapes."""

    colours: theme.Palette
    inches: float
    dpi: int | None

    @property
    def shrunk(self) -> float:
        """How much smaller than in a panel of the usual size the areas of signs are in a smaller one."""
        return min(1.0, self.inches / layout.PLANES["plane"].side)

    def words(self, said: str) -> str:
        """As much of what is said of a panel as fits above it."""
        return naming.shortened(said, int(self.inches / 0.047))


@dataclass(frozen=True)
class _Plane:
    """A plane to be drawn: what is said over it, where it stands in the figure, and what is in it.

    `rows_32` as enlarged, the classes' names and where they stand, the middle and side of what the frame shows.
    """

    head: tuple[str, str]
    place: layout.Place
    probe: Probe
    rows_32: NDArray[np.float64]
    names: Sequence[str]
    at_32: NDArray[np.float64]
    middle_2: NDArray[np.float64]
    side: float


def _plane(panel: Panel, head: tuple[str, str], place: layout.Place, inches: float, *, named: bool) -> _Plane:
    (cloud,) = (mark for mark in panel.marks if isinstance(mark, Cloud))
    probe, rows_32 = cloud.probe, cloud.factor * np.asarray(cloud.probe.classifier, np.float64)
    paths = probe.theory.different.reshape(-1, 2) if probe.theory else []
    shown_X2 = np.vstack([probe.points, rows_32, [[0, 0]], *paths])
    if not named:
        return _Plane(head, place, probe, rows_32, (), np.empty((0, 2)), *framing.square(shown_X2))
    names = [naming.shortened(name, LONGEST_CLASS) for name in probe.class_names]
    return _Plane(head, place, probe, rows_32, names, *framing.placed(shown_X2, rows_32, inches, names))


def _apart(figure: Figure, planes: Sequence[_Plane], look: _Look) -> None:
    """Each plane in axes of its own."""
    for plane in planes:
        axes = figure.add_axes(plane.place, axes_class=ticks.Bare)
        marks = _Marks()
        marks.add(plane, 1.0, np.zeros(2))
        marks.draw(axes, look)
        _frame(axes, plane.middle_2, plane.side, look.colours)
        name, said = plane.head
        theme.head(axes, name, look.words(said), look.colours)


def _frame(axes: Axes, middle_2: NDArray[np.float64], side: float, colours: theme.Palette) -> None:
    x, y = middle_2
    axes.set_xlim(x - side / 2, x + side / 2)
    axes.set_ylim(y - side / 2, y + side / 2)
    axes.set_aspect("equal", adjustable="box")
    axes.spines[:].set(visible=True, color=colours.grid, linewidth=0.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(4, steps=theme.STEPS))
        ticks.plain(axes, axis, colours, grid=False)


def _together(figure: Figure, planes: Sequence[_Plane], look: _Look) -> None:
    """All planes on one sheet, which is measured in inches; each says how wide it is, instead of ticks."""
    sheet = ticks.sheet(figure)
    corners_N2 = np.array([plane.place[:2] for plane in planes]) * figure.get_size_inches()
    marks = _Marks()
    for plane, corner_2 in zip(planes, corners_N2, strict=True):
        scale, (x, y), (name, said) = look.inches / plane.side, corner_2, plane.head
        marks.add(plane, scale, corner_2 - scale * (plane.middle_2 - plane.side / 2))
        said = " · ".join(filter(None, (said, f"width {plane.side:.2g}")))
        theme.head_at(sheet, x, y + look.inches, name, look.words(said), look.colours)
    marks.draw(sheet, look)
    around_52 = look.inches * np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)])
    _stroke(sheet, list(corners_N2[:, None] + around_52), look.colours.grid, 0.8, 2.5)


class _Marks:
    """What lies in one plane or in many, by kind, as they lie in the axes."""

    def __init__(self) -> None:
        self._clouds: list[tuple[NDArray[np.floating], Probe]] = []
        self._spokes: list[NDArray[np.floating]] = []
        self._paths: list[NDArray[np.floating]] = []
        self._rings: list[NDArray[np.floating]] = []
        self._names: list[tuple[NDArray[np.floating], str]] = []

    def add(self, plane: _Plane, scale: float, move_2: NDArray[np.floating]) -> None:
        """A plane, enlarged and then moved."""
        self._clouds.append((scale * plane.probe.points + move_2, plane.probe))
        self._spokes += [np.stack([move_2, scale * tip_2 + move_2]) for tip_2 in plane.rows_32]
        self._names += zip(scale * plane.at_32 + move_2, plane.names, strict=True)
        if plane.probe.theory:
            self._paths += list(scale * plane.probe.theory.different + move_2)
            self._rings.append(scale * plane.probe.theory.same + move_2)

    def draw(self, axes: Axes, look: _Look) -> None:
        """Mixtures below classifier rows, these below the channels of the theory, and names above all."""
        colours = look.colours
        _points(axes, self._clouds, look)
        _lines(axes, self._spokes, (colours.ink, 1.1), (colours.paper, 2.4), 3.0)
        diamonds = {"color": colours.ink, "markeredgecolor": colours.paper, "markeredgewidth": 1.0, "zorder": 4}
        _signs(axes, np.array([tip_2 for _, tip_2 in self._spokes]), "D", 52 * look.shrunk, diamonds)
        if self._rings:
            _theory(axes, self._paths, np.concatenate(self._rings), look)
        for (x, y), name in self._names:
            text = axes.text(x, y, name, ha="center", va="center", color=colours.ink, fontsize=theme.PANEL, zorder=5)
            text.set_fontweight("bold")


def _theory(axes: Axes, paths: Sequence[NDArray[np.floating]], rings_X2: NDArray[np.floating], look: _Look) -> None:
    """The channels of the theory as lines, and as rings where all mixtures within a class should lie."""
    colours = look.colours
    _lines(axes, paths, (colours.theory, 1.3), (colours.paper, 2.8), 3.5)
    how = {"markerfacecolor": "none", "markeredgecolor": colours.theory, "markeredgewidth": 1.4, "zorder": 3.6}
    _signs(axes, rings_X2, "o", 70 * look.shrunk, how)


def _lines(
    axes: Axes, paths: Sequence[NDArray[np.floating]], ink: tuple[str, float], halo: tuple[str, float], zorder: float
) -> None:
    """Lines of a colour and width, each on a broader one, which parts them from the points."""
    for (colour, width), above in ((halo, zorder - 0.1), (ink, zorder)):
        _stroke(axes, paths, colour, width, above)


def _stroke(axes: Axes, paths: Sequence[NDArray[np.floating]], colour: str, width: float, zorder: float) -> None:
    """Lines of a colour and width as one path: a file of vectors takes a third of the time for it."""
    codes = np.full(sum(map(len, paths)), Path.LINETO)
    codes[np.cumsum([0, *map(len, paths[:-1])])] = Path.MOVETO
    made = PathPatch(Path(np.concatenate(paths), codes), fill=False, ec=colour, lw=width, zorder=zorder)
    made.set(capstyle="projecting", joinstyle="round")
    axes.add_artist(made)


def _signs(axes: Axes, at_X2: NDArray[np.floating], marker: str, area: float, how: dict[str, str | float]) -> None:
    """Markers of that area, in points²."""
    axes.add_artist(Line2D(*at_X2.T, linestyle="", marker=marker, markersize=area**0.5, **how))


def hues(probe: Probe, colours: theme.Palette) -> NDArray[np.float64]:
    """RGB (P, 3): the hue of the pair in full at λ = 0 and 1, ink at λ = ½."""
    same_P1 = (probe.first == probe.second)[:, None]
    hue_P3 = np.where(same_P1, to_rgb(colours.same), to_rgb(colours.different))
    return _shaded(hue_P3, probe.lam, colours)


def _shaded(hue_P3: NDArray[np.float64], lam_P: NDArray[np.floating], colours: theme.Palette) -> NDArray[np.float64]:
    bright_P1 = np.abs(2 * lam_P.astype(np.float64) - 1)[:, None]
    return bright_P1 * hue_P3 + (1 - bright_P1) * np.array(to_rgb(colours.ink))


def _points(axes: Axes, clouds: Sequence[tuple[NDArray[np.floating], Probe]], look: _Look) -> None:
    # In the order drawn, a mixed one: neither kind of pair may hide the other.
    orders = [np.random.default_rng(0).permutation(len(at_P2)) for at_P2, _ in clouds]
    at = [at_P2[order_P] for (at_P2, _), order_P in zip(clouds, orders, strict=True)]
    rgb = [hues(probe, look.colours)[order_P] for (_, probe), order_P in zip(clouds, orders, strict=True)]
    # The area of a dot, in points²: smaller where there are many.
    area = float(np.clip(14_000 / max(map(len, at)), 1.0, 14.0)) * look.shrunk
    # Not scatter, which would look for the limits of the data: they are set later.
    axes.add_collection(Dots(axes, at, np.concatenate(rgb), area, look.dpi), autolim=False)


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
