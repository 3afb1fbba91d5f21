"""The plots `last-layer` and `last-layer-grid`: mixed features in the plane of three classifiers.

Source: Fisher, Meng, Papyan 2024, App. B.2.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import floor, log10

import numpy as np
from numpy.typing import NDArray

from ncmix.plots import groups, naming
from ncmix.plots.options import Options, PlotError, PlotOptionError
from ncmix.plots.picture import Axis, Cloud, Panel, Picture
from ncmix.results import Probe, Run

# Below this κ the optimum is a convex combination to within a thousandth of its size, and m and λ_H mean nothing.
CONVEX = 0.1

COLUMNS, GRID_COLUMNS = 3, 6

# More planes than this are smaller, to be seen at one sight, and so many stand side by side.
MOST_LARGE, MANY_COLUMNS = 6, 5

_H = Axis("h")  # the frame is set by what is in it


def last_layer(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.last_layer."""
    listed = _single(runs, options)
    probes = [_probe(run, options.epoch) for run in listed]
    labels, many = naming.labels(listed), len(listed) > MOST_LARGE
    panels = tuple(
        _panel(label, at, probe, place, options, brief=many)
        for place, (label, (at, probe)) in enumerate(zip(labels, probes, strict=True))
    )
    columns = MANY_COLUMNS if many else 2 if len(listed) == 4 else COLUMNS
    title, layout = "Mixtures in the last layer", "planes" if many else "plane"
    return Picture("last-layer", title, tuple(labels), panels, columns, layout, key=_key(panels))


def last_layer_grid(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.last_layer_grid."""
    listed = _single(runs, options)
    epochs = options.epochs or _spread([sorted(run.probes) for run in listed], options.epoch)
    if len(epochs) > GRID_COLUMNS:
        raise PlotOptionError(f"{len(epochs)} epochs are named; allowed are 1 to {GRID_COLUMNS} side by side.")
    for run in listed:
        groups.fetch(run.probes, epochs)
    panels = tuple(
        replace(_panel("", at, _probe(run, at)[1], place, options), name=label if first else "")
        for place, (label, run) in enumerate(zip(naming.labels(listed), listed, strict=True))
        for first, at in zip([True, *[False] * len(epochs)], epochs or (_probe(run, None)[0],), strict=False)
    )
    title = "Mixtures in the last layer over the epochs"
    groups_ = tuple(naming.labels(listed))
    return Picture("last-layer-grid", title, groups_, panels, max(1, len(epochs)), "grid", key=_key(panels))


def _single(runs: Run | Sequence[Run], options: Options) -> list[Run]:
    if options.group_by:
        raise PlotOptionError("Mixtures of several runs have no mean: each has a plane of its own. Leave out group_by.")
    return groups.as_runs(runs)


def _spread(probed: Sequence[Sequence[int]], until: int | None) -> tuple[int, ...]:
    """As many epochs as there are columns, of those at which every run was probed."""
    shared = sorted(set(probed[0]).intersection(*probed[1:]))
    there = [epoch for epoch in shared if until is None or epoch <= until]
    if not there and all(probed):
        raise PlotError("There is no epoch at which all of these runs were probed; name some of one run.")
    return tuple(groups.spaced(there, GRID_COLUMNS))


def _probe(run: Run, epoch: int | None) -> tuple[int, Probe]:
    there = sorted(run.probes)
    name = repr(naming.shortened(run.title))
    if not there:
        raise PlotError(f"There is no probe of the mixed geometry of {name}: its spec asks for none, or none is done.")
    if epoch is None:
        return there[-1], run.probes[there[-1]]
    if epoch not in there:
        raise PlotError(f"There is no probe at epoch {epoch} of {name}; there are probes at {groups.listed(there)}.")
    return epoch, run.probes[epoch]


def _panel(label: str, epoch: int, probe: Probe, place: int, options: Options, *, brief: bool = False) -> Panel:
    probe = _of_classes(probe, options.classes)
    finite_P: NDArray[np.bool_] = np.atleast_1d(np.isfinite(probe.points).all(axis=1))
    if not finite_P.any() or not np.isfinite(probe.classifier).all():
        raise PlotError(f"The probe at epoch {epoch} of {label!r} holds no finite points: its training diverged.")
    probe = probe if finite_P.all() else probe.some(finite_P)
    factor = _factor(probe.points, np.asarray(probe.classifier, np.float64))
    said = " · ".join(_particulars(epoch, probe, factor, brief=brief))
    return Panel(label, said, _H, _H, (Cloud(probe, epoch, factor, place),))


def _of_classes(probe: Probe, classes: Sequence[int]) -> Probe:
    """Only mixtures among these classes.

    Raises:
        PlotOptionError: one of them was not probed.
    """
    if strange := [k for k in classes if k not in probe.classes]:
        there = ", ".join(map(str, probe.classes))
        raise PlotOptionError(f"Class {strange[0]} was not mixed by the probe, whose three classes are {there}.")
    if not classes or set(classes) == set(probe.classes):
        return probe
    return replace(probe.some(np.isin(probe.first, classes) & np.isin(probe.second, classes)), theory=None)


def _factor(points_P2: NDArray[np.floating], classifier_32: NDArray[np.float64]) -> float:
    """How much the classifier rows are enlarged to be seen among the features: 1, or a round number."""
    far = float(np.median(np.linalg.norm(points_P2, axis=1)))
    long = float(np.linalg.norm(classifier_32, axis=1).mean())
    if far == 0 or long == 0 or 0.4 < far / long < 2.5:
        return 1.0
    power = 10.0 ** floor(log10(far / long))
    return float(f"{floor(far / long / power) * power:g}")


def _particulars(epoch: int, probe: Probe, factor: float, *, brief: bool) -> Iterator[str]:
    yield f"epoch {epoch}"
    if not brief:
        yield f"{probe.mode} mode"
    if factor != 1:
        yield f"{'rows' if brief else 'classifiers'} ×{factor:g}"
    if fit := probe.theory:
        found = "is convex" if fit.kappa < CONVEX else f"m = {fit.m:.2g}, λₕ = {fit.lambda_h:.2g}"
        yield f"theory {'' if brief else f'{found}, '}off by {fit.residual:.0%}"


def _key(panels: Sequence[Panel]) -> tuple[str, ...]:
    clouds = (mark for panel in panels for mark in panel.marks if isinstance(mark, Cloud))
    return ("theory",) if any(cloud.probe.theory for cloud in clouds) else ()
