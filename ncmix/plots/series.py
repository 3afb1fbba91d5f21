"""Curves of metrics over epochs as lines: what `nc` and `curves` share."""

from collections.abc import Sequence

import numpy as np

from ncmix.plots.groups import Group, Points, line
from ncmix.plots.picture import Line
from ncmix.results import Run


def lines(groups: Sequence[Group], metric: str, splits: Sequence[str], until: int | None) -> list[Line]:
    """The lines of a metric that have a value to show, split by split."""
    found = [
        line(group, place, split, lambda run, split=split: _points(run, metric, split, until))
        for split in splits
        for place, group in enumerate(groups)
    ]
    return [made for made in found if made is not None and np.isfinite(made.y).any()]


def _points(run: Run, metric: str, split: str, until: int | None) -> Points | None:
    curve = run.curves.get((metric, split))
    if curve is None or until is None:
        return None if curve is None else (curve.epochs, curve.values)
    upto = int(np.searchsorted(curve.epochs, until, side="right"))
    return curve.epochs[:upto], curve.values[:upto]


def thinned(groups: Sequence[Group]) -> str:
    """A remark on epochs that were left out, if any were."""
    every = max(run.every for group in groups for run in group.runs)
    return f"every {every}{ {2: 'nd', 3: 'rd'}.get(every, 'th') } measured epoch" if every > 1 else ""
