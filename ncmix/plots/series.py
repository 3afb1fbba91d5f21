"""The curves of runs, read once and drawn as lines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from ncmix.plots import theme
from ncmix.plots.options import PlotError
from ncmix.results import MetricRow, Run

# Up to this many measured epochs every one of them has its dot.
DOTTED = 16


@dataclass(frozen=True)
class Style:
    """How the line of a split looks, and what the legend calls it."""

    meaning: str
    dashes: Literal["solid"] | tuple[float, tuple[float, float]]
    width: float
    marker: str
    hollow: bool = False


STYLES: dict[str, Style] = {
    "running": Style("while training", (0.0, (1.0, 1.4)), 1.1, "x"),
    "train": Style("train", "solid", 1.5, "o"),
    "test": Style("test", (0.0, (4.0, 2.0)), 1.5, "o", hollow=True),
}


@dataclass(frozen=True)
class Curve:
    """One metric over the epochs at which it was measured; NaN where it was undefined. Both (E,), by epoch."""

    epochs: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def defined(self) -> NDArray[np.float64]:
        """The values that are numbers."""
        return self.values[np.isfinite(self.values)]


Curves = Mapping[tuple[str, str], Curve]


def as_runs(runs: Run | Sequence[Run]) -> list[Run]:
    """The runs as a list.

    Raises:
        PlotError: there are none.
    """
    listed = [runs] if isinstance(runs, Run) else list(runs)
    if not listed:
        raise PlotError("There is no run to draw; at least one is needed.")
    return listed


def read(run: Run, until: int | None) -> Curves:
    """Every curve of a run by (name, split), up to and with the epoch `until`."""
    grouped: dict[tuple[str, str], list[MetricRow]] = {}
    for row in run.rows:
        if until is None or row.epoch <= until:
            grouped.setdefault((row.name, row.split), []).append(row)
    return {key: _curve(rows) for key, rows in grouped.items()}


def _curve(rows: list[MetricRow]) -> Curve:
    rows.sort(key=lambda row: row.epoch)
    values = [math.nan if row.value is None else row.value for row in rows]
    return Curve(np.array([row.epoch for row in rows], np.int64), np.array(values, np.float64))


def has(curves: Sequence[Curves], name: str, splits: Sequence[str]) -> bool:
    """Whether any of the runs has a value to show for that metric."""
    return any((name, split) in c and len(c[name, split].defined) for c in curves for split in splits)


def line(axes: Axes, curve: Curve, colour: str, split: str) -> None:
    """Draw a curve; an undefined value is a gap, and a value between two gaps still shows, as a dot."""
    style = STYLES[split]
    axes.plot(
        curve.epochs,
        curve.values,
        color=colour,
        linestyle=style.dashes,
        linewidth=style.width,
        marker=style.marker,
        markersize=3.4,
        markerfacecolor=axes.get_facecolor() if style.hollow else colour,
        markeredgewidth=0.9,
        markevery=_dots(curve.values),
        label=split,
    )


def sparse(curves: Sequence[Curves]) -> bool:
    """Whether some curve is short enough to have dots, so that the legend must show what they look like."""
    return any(len(curve.epochs) <= DOTTED for found in curves for curve in found.values())


def _dots(values: NDArray[np.float64]) -> list[int]:
    """Which points get a dot: all of a few, else only those that no line reaches."""
    gap = ~np.isfinite(values)
    if len(values) <= DOTTED:
        return np.flatnonzero(~gap).tolist()
    alone = ~gap & np.r_[True, gap[:-1]] & np.r_[gap[1:], True]
    return np.flatnonzero(alone).tolist()


# "0.00002" as 2e-05: a power above the axis would lie under the panel's head.
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")
SHARE = FuncFormatter(lambda value, _: f"{100 * value:g}%")


def scale(axes: Axes, curves: Sequence[Curve], *, falling: bool) -> None:
    """The y axis: logarithmic for a `falling` metric over more than a decade, else linear from zero upwards."""
    values = np.concatenate([c.defined for c in curves] or [np.empty(0)])
    positive = values[values > 0]
    if falling and len(positive) and positive.max() >= 10 * positive.min():
        _logarithmic(axes, float(positive.min()), float(positive.max()))
        return
    axes.yaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 2.5, 5, 10)))
    axes.yaxis.set_major_formatter(_PLAIN)
    if len(values) and values.min() >= 0:
        top = float(values.max()) * 1.06 or 1.0
        axes.set_ylim(-0.02 * top, top)  # a little below zero, lest a line of zeros be half hidden


def _logarithmic(axes: Axes, low: float, high: float) -> None:
    axes.set_yscale("log", nonpositive="mask")
    margin = (high / low) ** 0.06
    axes.set_ylim(low / margin, high * margin)
    if high / low < 300:
        # Whole decades would leave one label or none: 0.3, 1, 3, 10 instead.
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        axes.yaxis.set_major_formatter(_PLAIN)
    else:
        axes.yaxis.set_major_locator(LogLocator(numticks=5))
    axes.yaxis.set_minor_locator(NullLocator())


def epochs(axes: Axes, curves: Sequence[Curves]) -> None:
    """The x axis: whole epochs from 0, the same range in every panel."""
    last = max(int(curve.epochs[-1]) for c in curves for curve in c.values())
    axes.set_xlim(-0.02 * last if last else -0.5, 1.02 * last if last else 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, steps=theme.STEPS))
