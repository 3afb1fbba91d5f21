"""Runs in groups that share fields of their specs, and what is drawn of several runs as one: mean and deviation."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ncmix.plots.naming import labels
from ncmix.plots.options import PlotError, PlotOptionError
from ncmix.plots.picture import Array, Line
from ncmix.results import Fetching, Run

_ABSENT = "none"

T = TypeVar("T")


@dataclass(frozen=True)
class Group:
    """Runs drawn as one, under a name; usually one."""

    label: str
    runs: tuple[Run, ...]


def as_runs(runs: Run | Sequence[Run]) -> list[Run]:
    """The runs as a list.

    Raises:
        PlotError: there are none.
    """
    listed = [runs] if isinstance(runs, Run) else list(runs)
    if not listed:
        raise PlotError("There is no run to draw; at least one is needed.")
    return listed


def grouped(runs: Run | Sequence[Run], group_by: Sequence[str]) -> list[Group]:
    """The runs each by itself, or those together that agree in the fields of `group_by`, in order of appearance.

    A run whose spec has no such field (`mix.alpha` where nothing is mixed) has the value none there.

    Raises:
        PlotError: there is no run.
        PlotOptionError: no spec has one of the fields.
    """
    listed = as_runs(runs)
    if not group_by:
        return [Group(label, (run,)) for label, run in zip(labels(listed), listed, strict=True)]
    for path in group_by:
        if all(_value(run.spec, path) is None for run in listed):
            _refuse(path, listed)
    found: dict[str, list[Run]] = {}
    for run in listed:
        found.setdefault(", ".join(_shown(_value(run.spec, path)) for path in group_by), []).append(run)
    return [Group(_counted(label, len(members)), tuple(members)) for label, members in found.items()]


def _value(spec: Any, path: str) -> Any:
    """What the spec has there; None if nothing. A part stands for its kind."""
    for step in path.split("."):
        spec = spec.get(step) if isinstance(spec, Mapping) else None
    return spec.get("kind", spec) if isinstance(spec, Mapping) else spec


def _shown(value: Any) -> str:
    match value:
        case None:
            return _ABSENT
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case _:
            return str(value)


def _counted(label: str, runs: int) -> str:
    return f"{label} ({runs} run{'s' if runs > 1 else ''})"


def _refuse(path: str, runs: Sequence[Run]) -> None:
    known = sorted({field for run in runs for field in _paths(run.spec)})
    raise PlotOptionError(f"No spec of these has the field {path!r}; there are {', '.join(known)}.")


def _paths(spec: Mapping[str, Any], above: str = "") -> list[str]:
    found: list[str] = []
    for name, value in spec.items():
        inside = isinstance(value, Mapping) and value
        found += _paths(value, f"{above}{name}.") if inside else [f"{above}{name}"]
    return found


def at(held: Mapping[int, Any], epoch: int | None) -> int | None:
    """The epoch to be drawn: the last there is, or the one asked for; None if it is not there."""
    there = sorted(held)
    return (there[-1] if there else None) if epoch is None else (epoch if epoch in there else None)


def state(run: Run, held: Mapping[int, T], epoch: int | None, what: str) -> tuple[int, T]:
    """What a run holds at the epoch, and which that is.

    Raises:
        PlotError: it holds nothing there; the sentence says where it does.
    """
    found, name = at(held, epoch), repr(labels([run])[0])
    if found is not None:
        return found, held[found]
    if not held:
        raise PlotError(f"There is no {what} of {name}: none is recorded yet, or it ran before these were kept.")
    raise PlotError(f"There is no {what} at epoch {epoch} of {name}; there are some at {listed(sorted(held))}.")


def listed(epochs: Sequence[int]) -> str:
    """Epochs with commas, the middle of many left out."""
    shown = [str(e) for e in epochs]
    return ", ".join(shown if len(shown) <= 30 else [*shown[:28], "…", shown[-1]])


def spaced(epochs: Sequence[int], count: int) -> list[int]:
    """Of increasing epochs at most so many: the first, the last, and in between as even as may be on a log scale."""
    if len(epochs) <= count:
        return list(epochs)
    place = np.log1p(np.array(epochs, np.float64))
    return sorted({epochs[int(np.abs(place - wanted).argmin())] for wanted in np.linspace(place[0], place[-1], count)})


Points = tuple[NDArray[Any], NDArray[Any]]


def line(group: Group, place: int, style: str, points: Callable[[Run], Points | None]) -> Line | None:
    """The line of a group: of one run as it is; of several the mean ± std, wherever every one of them has a value.

    So the mean is everywhere over the same runs. None if a run has no points at all.
    """
    found = [points(run) for run in group.runs]
    if any(p is None or not len(p[0]) for p in found):
        return None
    several = [(np.asarray(p[0], np.float64), np.asarray(p[1], np.float64)) for p in found if p is not None]
    if len(several) == 1:
        return Line(*several[0], style, place)
    x, mean, std = averaged(several)
    return Line(x, mean, style, place, std, len(several))


def averaged(several: Sequence[tuple[Array, Array]]) -> tuple[Array, Array, Array]:
    """Where all have a value: x, the mean and the unbiased standard deviation."""
    first = several[0][0]
    if all(len(x) == len(first) for x, _ in several) and (np.stack([x for x, _ in several]) == first).all():
        values = np.stack([y for _, y in several])
        there = np.isfinite(values).all(axis=0)
        return first[there], *spread(values[:, there])
    return _averaged_apart(several)


def _averaged_apart(several: Sequence[tuple[Array, Array]]) -> tuple[Array, Array, Array]:
    """The same of runs that were not measured at the same places."""
    defined = [(x[np.isfinite(y)], y[np.isfinite(y)]) for x, y in several]
    x = defined[0][0]
    for other, _ in defined[1:]:
        x = x[np.isin(x, other)]
    return x, *spread(np.stack([values[np.isin(places, x)] for places, values in defined]))


def spread(values: Array) -> tuple[Array, Array]:
    """Along the first axis, of two or more: the mean and the unbiased standard deviation (ddof = 1)."""
    return values.mean(0), values.std(0, ddof=1)


def mean_of(group: Group, arrays: Sequence[Array], what: str) -> Array:
    """The mean over the runs of a group.

    Raises:
        PlotError: their shapes differ.
    """
    if len({a.shape for a in arrays}) > 1:
        raise PlotError(f"The runs of {group.label!r} have different classes, so there is no mean of their {what}.")
    return np.mean(np.stack(arrays).astype(np.float64), axis=0)


def caption(title: str, group_by: Sequence[str]) -> str:
    """The title, with what the runs are grouped by."""
    return f"{title} by {', '.join(group_by)}" if group_by else title


def fetch(held: Mapping[int, object], epochs: Collection[int]) -> None:
    """Say that these epochs of what a run holds will be asked for."""
    if isinstance(held, Fetching):
        held.fetch(epochs)


def note(groups: Sequence[Group]) -> str:
    """What a band means, where there is one."""
    return "mean ± std over runs" if any(len(g.runs) > 1 for g in groups) else ""


def names(groups: Sequence[Group]) -> tuple[str, ...]:
    """What the groups are called."""
    return tuple(g.label for g in groups)
