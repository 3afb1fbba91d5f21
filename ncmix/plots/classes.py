"""The plots of single classes at an epoch: `gram`, `norms`, `confusion`."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncmix.plots import groups, picture
from ncmix.plots.groups import Group
from ncmix.plots.naming import labels
from ncmix.plots.options import Options, PlotError, Split
from ncmix.plots.picture import Array, Axis, HeatMap, Line, Panel, Picture
from ncmix.results import Run, Summary

# Up to so many classes each has its name at the axis.
NAMED = 20

# More maps than this are small, to be seen at one sight.
MOST_LARGE = 8

_WHAT = "summary of classes"


def gram(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.gram."""
    found = groups.grouped(runs, options.group_by)
    panels = [panel for place, group in enumerate(found) for panel in _cosines(group, place, options)]
    return _maps("gram", "Cosines of class means and classifiers", found, panels, options, columns=(2, 6))


def _cosines(group: Group, place: int, options: Options) -> Iterator[Panel]:
    read = [_square(run, options) for run in group.runs]
    split = options.split or _split(read[0][1], "train")
    at = _when([epoch for epoch, _ in read])
    means = groups.mean_of(group, [_of_split(s.mean_cosines, s, split) for _, s in read], "cosines")
    weights = groups.mean_of(group, [np.asarray(s.weight_cosines) for _, s in read], "cosines")
    names = read[0][1].class_names
    yield _map(f"Class means, {split}", f"cos(μₖ − μ, μₗ − μ), {at}", group, place, means, names)
    yield _map("Classifiers", f"cos(wₖ, wₗ), {at}", group, place, weights, names)


def _map(name: str, meaning: str, group: Group, place: int, values: Array, names: tuple[str, ...]) -> Panel:
    made = HeatMap(values, names, names, -1, 1, diverging=True, group=place, runs=len(group.runs))
    return Panel(name, meaning, _class_axis(names), _class_axis(names), (made,))


def confusion(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.confusion."""
    found = groups.grouped(runs, options.group_by)
    panels = [_confusion(group, place, options) for place, group in enumerate(found)]
    return _maps("confusion", "Confusion", found, panels, options, columns=(3, 5))


def _confusion(group: Group, place: int, options: Options) -> Panel:
    read = [_square(run, options) for run in group.runs]
    split = options.split or _split(read[0][1], "test")
    shares = groups.mean_of(group, [_shares(_of_split(s.confusion, s, split)) for _, s in read], "confusion")
    names = read[0][1].class_names
    made = HeatMap(shares, names, names, 0, 1, shares=True, group=place, runs=len(group.runs))
    at = _when([epoch for epoch, _ in read])
    x, y = _class_axis(names, "taken for"), _class_axis(names, "true class")
    return Panel(f"{split.capitalize()}", f"share of each class's samples, {at}", x, y, (made,))


def _shares(count_KK: Array) -> Array:
    """Of the samples of each class; NaN for a class without any."""
    total_K1 = count_KK.sum(1, keepdims=True)
    return np.divide(count_KK, total_K1, out=np.full(count_KK.shape, np.nan), where=total_K1 > 0)


def norms(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.norms."""
    found = groups.grouped(runs, options.group_by)
    read = {id(run): groups.state(run, run.summaries, options.epoch, _WHAT) for g in found for run in g.runs}
    some = next(iter(read.values()))[1]
    split = options.split or _split(some, "train")
    at = _when([epoch for epoch, _ in read.values()])
    longest = max((s.class_names for _, s in read.values()), key=len)
    means = _per_class(found, lambda run: _of_split(read[id(run)][1].mean_norms, read[id(run)][1], split))
    weights = _per_class(found, lambda run: read[id(run)][1].weight_norms)
    shown = [
        Panel("Class means", f"‖μₖ − μ‖, {split}, {at}", _classes(longest), picture.vertical(means), tuple(means)),
        Panel("Classifiers", f"‖wₖ‖, {at}", _classes(longest), picture.vertical(weights), tuple(weights)),
    ]
    return Picture(
        "norms",
        groups.caption("Norms of class means and classifiers", options.group_by),
        groups.names(found),
        tuple(p for p in shown if p.marks),
        2,
        "classes" if len(longest) <= NAMED and any(len(name) > 3 for name in longest) else "large",
        note=groups.note(found),
    )


def _per_class(found: Sequence[Group], norms_of: Callable[[Run], NDArray[Any]]) -> list[Line]:
    made = [
        groups.line(group, place, "measured", lambda run: (np.arange(len(norms_of(run))), norms_of(run)))
        for place, group in enumerate(found)
    ]
    return [line for line in made if line is not None]


def _maps(
    plot: str, title: str, found: Sequence[Group], panels: Sequence[Panel], options: Options, columns: tuple[int, int]
) -> Picture:
    """`columns` of few maps, which are large, and of many."""
    title = groups.caption(title, options.group_by)
    averaged = any(len(g.runs) > 1 for g in found)
    note = "mean over runs" if averaged else ""
    # Small ones have their classes named once for all of them.
    many = len(panels) > MOST_LARGE and len({panel.x for panel in panels}) == 1
    layout = "maps" if many else "map"
    return Picture(plot, title, groups.names(found), tuple(panels), columns[many], layout, note=note)


def _square(run: Run, options: Options) -> tuple[int, Summary]:
    """The summary at the epoch that has K×K arrays.

    Raises:
        PlotError: there is none; the sentence says where there is.
    """
    epoch, summary = groups.state(run, run.summaries, options.epoch, _WHAT)
    if summary.mean_cosines is None:
        raise PlotError(
            f"Of {len(summary.class_names)} classes the matrices are kept of the last measured epoch alone, "
            f"and epoch {epoch} of {labels([run])[0]!r} is not that."
        )
    return epoch, summary


def _of_split(array: NDArray[Any] | None, summary: Summary, split: Split | str) -> Array:
    if split not in summary.splits:
        raise PlotError(f"The split {split!r} was not measured; measured were {', '.join(summary.splits)}.")
    return np.asarray(array, np.float64)[:, summary.splits.index(split)]


def _split(summary: Summary, wanted: str) -> str:
    """The split that this plot shows unless asked for another."""
    return wanted if wanted in summary.splits else summary.splits[0]


def _when(epochs: Sequence[int]) -> str:
    low, high = min(epochs), max(epochs)
    return f"epoch {low}" if low == high else f"epochs {low} to {high}"


def _class_axis(names: Sequence[str], label: str = "") -> Axis:
    """Of a heat map: class k from k − ½ to k + ½."""
    ticks = tuple((float(i), name) for i, name in enumerate(names)) if len(names) <= NAMED else ()
    return Axis(label, low=-0.5, high=len(names) - 0.5, whole=True, ticks=ticks)


def _classes(names: Sequence[str]) -> Axis:
    ticks = tuple((float(i), name) for i, name in enumerate(names)) if len(names) <= NAMED else ()
    return Axis("class", low=-0.5, high=len(names) - 0.5, whole=True, ticks=ticks)
