"""A picture as the numbers drawn in it: one row a point or cell, with what is needed to read them."""

import csv
import math
from collections.abc import Iterator
from io import StringIO
from typing import Any

import numpy as np
import pydantic_core

from ncmix.plots.picture import STYLES, Axis, Cloud, HeatMap, Line, Mark, Panel, Picture

Columns = dict[str, list[Any]]

_LINES = ("panel", "group", "style", "x", "y", "std", "runs")
_MAPS = ("panel", "group", "row", "column", "value", "runs")
_CLOUDS = ("panel", "group", "epoch", "style", "x", "y", "lam", "first", "second")


def to_csv(picture: Picture) -> bytes:
    """One header line, then a line a row; what is undefined is empty."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    data = columns(picture)
    writer.writerow(data)
    writer.writerows(zip(*data.values(), strict=True))  # None is written as nothing
    return text.getvalue().encode()


def to_json(picture: Picture) -> bytes:
    """An object: what is shown, and in `data` the columns of the table, each a list; null is undefined."""
    held = {
        "plot": picture.plot,
        "title": picture.title,
        "note": picture.note,
        "groups": list(picture.groups),
        "panels": [_panel(panel) for panel in picture.panels],
        "styles": {style: STYLES[style].meaning for style in picture.key},
        "data": columns(picture),
    }
    return pydantic_core.to_json(held)


def _panel(panel: Panel) -> dict[str, Any]:
    said = {"name": panel.name, "meaning": panel.meaning}
    return (
        said if any(isinstance(m, HeatMap) for m in panel.marks) else said | {"x": _axis(panel.x), "y": _axis(panel.y)}
    )


def _axis(axis: Axis) -> dict[str, str]:
    return {"label": axis.label, "scale": "log" if axis.log else "linear"}


def columns(picture: Picture) -> Columns:
    """The table by columns, whose names depend on what the plot is made of: lines, heat maps or clouds."""
    made: Columns = {}
    for number, panel in enumerate(picture.panels):
        for mark in panel.marks:
            names, parts = _table(mark)
            made = made or {name: [] for name in names}
            _extend(made, panel.name or _before(picture, number), _group(picture, mark), parts)
    return made


def _table(mark: Mark) -> tuple[tuple[str, ...], list[list[Any]]]:
    match mark:
        case Line():
            return _LINES, _line(mark)
        case HeatMap():
            return _MAPS, _cells(mark)
        case Cloud():
            return _CLOUDS, _points(mark)


def _before(picture: Picture, number: int) -> str:
    """What a panel without a name of its own is part of: the one that begins its row."""
    return next(p.name for p in reversed(picture.panels[: number + 1]) if p.name)


def _group(picture: Picture, mark: Mark) -> str | None:
    return None if mark.group is None else picture.groups[mark.group]


def _extend(made: Columns, panel: str, group: str | None, parts: list[list[Any]]) -> None:
    count = len(parts[0])
    made["panel"] += [panel] * count
    made["group"] += [group] * count
    for name, values in zip([n for n in made if n not in ("panel", "group")], parts, strict=True):
        made[name] += values


def _line(line: Line) -> list[list[Any]]:
    count = len(line.x)
    std = [None] * count if line.std is None else plain(line.std)
    return [[line.style] * count, plain(line.x), plain(line.y), std, [line.runs] * count]


def _cells(heat: HeatMap) -> list[list[Any]]:
    rows, columns = heat.values.shape
    return [
        [name for name in heat.rows for _ in range(columns)],
        list(heat.columns) * rows,
        plain(heat.values.ravel()),
        [heat.runs] * (rows * columns),
    ]


def _points(cloud: Cloud) -> list[list[Any]]:
    """Mixtures, then the classifier rows as enlarged, then what theory expects."""
    probe = cloud.probe
    rows = [["mixture", *p, lam, int(a), int(b)] for p, lam, a, b in _mixtures(cloud)]
    tips = cloud.factor * np.asarray(probe.classifier, np.float64)
    rows += [["classifier", *tip.tolist(), None, k, k] for tip, k in zip(tips, probe.classes, strict=True)]
    if fit := probe.theory:
        a, b, c = probe.classes
        rows += [["theory", *p, None, k, k] for p, k in zip(fit.same.tolist(), (a, b, c), strict=True)]
        lam = np.linspace(0, 1, fit.different.shape[1]).tolist()
        for path, pair in zip(fit.different.tolist(), ((a, b), (b, c), (a, c)), strict=True):
            rows += [["theory", *p, at, *pair] for p, at in zip(path, lam, strict=True)]
    return [[cloud.epoch] * len(rows), *(list(column) for column in zip(*rows, strict=True))]


def _mixtures(cloud: Cloud) -> Iterator[tuple[Any, ...]]:
    probe = cloud.probe
    return zip(probe.points.tolist(), probe.lam.tolist(), probe.first.tolist(), probe.second.tolist(), strict=True)


def plain(values: np.ndarray) -> list[float | None]:
    """Numbers; what is undefined is None."""
    listed: list[float] = np.asarray(values, np.float64).tolist()
    return [v if math.isfinite(v) else None for v in listed]
