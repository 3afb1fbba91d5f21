"""What a plot shows, free of the libraries that draw it: panels with axes, and lines, maps and clouds in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ncmix.results import Probe

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Style:
    """How a line of some kind looks, what the legend calls it, and whether it is `muted`: of no run, but to compare."""

    meaning: str
    dashes: Literal["solid"] | tuple[float, tuple[float, float]]
    width: float
    marker: str = ""
    hollow: bool = False
    muted: bool = False


_DASHED, _DOTTED = (0.0, (4.0, 2.0)), (0.0, (1.0, 1.4))

STYLES: dict[str, Style] = {
    "running": Style("while training", _DOTTED, 1.1, "x"),
    "train": Style("train", "solid", 1.5, "o"),
    "test": Style("test", _DASHED, 1.5, "o", hollow=True),
    "measured": Style("measured", "solid", 1.5, "o"),
    "theory": Style("theory, best fit", _DASHED, 1.2),
    "between": Style("between classes", "solid", 1.5, "o"),
    "within": Style("within classes", _DASHED, 1.5, "o", hollow=True),
    "least": Style("smallest between classes", "solid", 0.8, "o"),
    "identity": Style("logit λ", _DOTTED, 1.1, muted=True),
    "convex": Style("convex combination", _DOTTED, 1.1, muted=True),
    "calibrated": Style("calibrated", _DOTTED, 1.1, muted=True),
}


@dataclass(frozen=True)
class Axis:
    """One axis: what it says, its scale, its range, and how its values read. Ticks are places with names, if given."""

    label: str = ""
    log: bool = False
    low: float = 0.0
    high: float = 1.0
    share: bool = False
    whole: bool = False
    count: int = 4
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True)
class Line:
    """A line of a group of runs: its mean where they are several, with `std` (unbiased) over these `runs`.

    `y` is NaN where it is undefined, which is a gap. `group` is a place among the picture's groups, None for none.
    """

    x: Array
    y: Array
    style: str
    group: int | None = None
    std: Array | None = None
    runs: int = 1


@dataclass(frozen=True)
class HeatMap:
    """A matrix (R, C), row 0 on top, from `low` to `high`; a `diverging` scale has its middle at 0.

    `shares` are read as per cents.
    """

    values: Array
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    low: float
    high: float
    diverging: bool = False
    shares: bool = False
    group: int | None = None
    runs: int = 1


@dataclass(frozen=True)
class Cloud:
    """A probe in the plane of its classifiers, whose rows are enlarged by `factor` to be seen; only finite points."""

    probe: Probe
    epoch: int
    factor: float
    group: int | None = None


Mark = Line | HeatMap | Cloud

Layout = Literal["small", "large", "classes", "map", "maps", "plane", "planes", "grid"]


@dataclass(frozen=True)
class Panel:
    """One frame: its name in bold, what it means in small, and what is drawn in it."""

    name: str
    meaning: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]

    @property
    def lines(self) -> list[Line]:
        """Those of the marks that are lines."""
        return [mark for mark in self.marks if isinstance(mark, Line)]


@dataclass(frozen=True)
class Picture:
    """A whole figure.

    Attributes:
        plot: its name in addresses.
        title: what it shows.
        groups: the runs, or groups of them, by the names that a legend gives; one colour each.
        panels: in reading order.
        columns: how many are side by side, if there is room.
        layout: small or large frames, large ones over classes, heat maps (many are small), or planes of classifiers
            (many are smaller, and smallest in a grid).
        key: the styles that a legend explains.
        note: a remark beside the title.
    """

    plot: str
    title: str
    groups: tuple[str, ...]
    panels: tuple[Panel, ...]
    columns: int
    layout: Layout
    key: tuple[str, ...] = ()
    note: str = ""

    @property
    def of_maps(self) -> bool:
        """Whether its panels are heat maps."""
        return self.layout in ("map", "maps")

    @property
    def of_planes(self) -> bool:
        """Whether its panels are planes of classifiers."""
        return self.layout in ("plane", "planes", "grid")


def finite(*arrays: Array) -> Array:
    """All the numbers among them."""
    joined = np.concatenate([np.ravel(a) for a in arrays] or [np.empty(0)])
    return joined[np.isfinite(joined)]


def reach(lines: Sequence[Line]) -> Array:
    """Every value that lines and their bands touch."""
    bands = [b for line in lines if line.std is not None for b in (line.y - line.std, line.y + line.std)]
    return finite(*(line.y for line in lines), *bands)


def vertical(lines: Sequence[Line], *, falling: bool = False, label: str = "", share: bool = False) -> Axis:
    """The y axis: logarithmic for `falling` values over more than a decade, else linear, from zero if none is below."""
    values = reach(lines)
    positive = finite(*(line.y for line in lines))
    positive = positive[positive > 0]
    if falling and len(positive) and positive.max() >= 10 * positive.min():
        margin = float(positive.max() / positive.min()) ** 0.06
        return Axis(label, True, float(positive.min()) / margin, float(max(values.max(), positive.max())) * margin)
    if not len(values):
        return Axis(label, share=share)
    if values.min() >= 0:
        top = float(values.max()) * 1.06 or 1.0
        return Axis(label, low=-0.02 * top, high=top, share=share)  # a little below zero, lest zeros be half hidden
    margin = 0.06 * float(values.max() - values.min()) or 0.5
    return Axis(label, low=float(values.min()) - margin, high=float(values.max()) + margin, share=share)


def shares(lines: Sequence[Line], label: str = "") -> Axis:
    """The y axis of shares between 0 and 1, as near as they come."""
    values = reach(lines)
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    margin = 0.06 * (high - low) or 0.02
    return Axis(label, low=max(low - margin, -0.02), high=min(high + margin, 1.02), share=True, count=6)


def epochs(panels_lines: Sequence[Sequence[Line]]) -> Axis:
    """The x axis of epochs, from 0, the same for all panels."""
    last = max((float(line.x[-1]) for lines in panels_lines for line in lines if len(line.x)), default=0.0)
    low, high = (-0.02 * last, 1.02 * last) if last else (-0.5, 0.5)
    return Axis("epoch", low=low, high=high, whole=True, count=5)
