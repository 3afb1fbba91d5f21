"""A picture as the numbers drawn in it: one row a point or cell, with what is needed to read them.

Shapes: N rows.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from io import StringIO
from typing import Any

import numpy as np
import pydantic_core
from numpy.typing import NDArray

from ncmix.plots.picture import STYLES, Axis, Cloud, HeatMap, Line, Mark, Panel, Picture
from ncmix.results import Channels

# What all rows of a part share, or what each has: numbers (N,), or texts.
Shared = str | int | None
Column = Shared | NDArray[Any] | list[str]


@dataclass(frozen=True)
class Part:
    """Some rows of the table, by columns, whose names depend on what the plot is made of: lines, heat maps or clouds.

    Before these columns stand the panel and the group.
    """

    count: int
    columns: dict[str, Column]


def to_csv(picture: Picture) -> bytes:
    """One header line, then a line a row; what is undefined is empty."""
    parts = list(_parts(picture))
    return b"".join([",".join(parts[0].columns).encode(), b"\n", *(_lines(part) for part in parts if part.count)])


def _lines(part: Part) -> bytes:
    """A line a row: what rows do not share is put into copies of a line that has the rest."""
    own = [_cells(column) for column in part.columns.values() if isinstance(column, np.ndarray | list)]
    cells = [b""] * (len(own) * part.count)
    for place, column in enumerate(own):
        cells[place :: len(own)] = column
    held = (b"%b" if isinstance(c, np.ndarray | list) else _cell(c).replace(b"%", b"%%") for c in part.columns.values())
    return (b",".join(held) + b"\n") * part.count % tuple(cells)


def to_json(picture: Picture) -> bytes:
    """An object: what is shown, and in `data` the columns of the table, each a list; null is undefined."""
    held = {
        "plot": picture.plot,
        "title": picture.title,
        "note": picture.note,
        "groups": list(picture.groups),
        "panels": [_panel(panel) for panel in picture.panels],
        "styles": {style: STYLES[style].meaning for style in picture.key},
    }
    # One joint: there may be many megabytes of data, and none is copied twice.
    return b"".join([pydantic_core.to_json(held)[:-1], b',"data":{', *_data(list(_parts(picture))), b"}}"])


def _panel(panel: Panel) -> dict[str, Any]:
    said = {"name": panel.name, "meaning": panel.meaning}
    return (
        said if any(isinstance(m, HeatMap) for m in panel.marks) else said | {"x": _axis(panel.x), "y": _axis(panel.y)}
    )


def _axis(axis: Axis) -> dict[str, str]:
    return {"label": axis.label, "scale": "log" if axis.log else "linear"}


def _data(parts: list[Part]) -> Iterator[bytes]:
    """The columns as members of an object, piece by piece."""
    filled = [part for part in parts if part.count]
    for number, name in enumerate(parts[0].columns):
        yield b'%b"%b":[' % (b"," if number else b"", name.encode())
        for place, part in enumerate(filled):
            yield from (b"," if place else b"", _values(part.columns[name], part.count))
        yield b"]"


def _values(column: Column, count: int) -> bytes:
    """A column as values of JSON with commas between."""
    if isinstance(column, np.ndarray):
        return _numbers(column.dtype.str, column.tobytes())
    if isinstance(column, list):
        return pydantic_core.to_json(column)[1:-1]
    return b",".join([pydantic_core.to_json(column)] * count)


# Lines have the same epochs, one after the other.
@lru_cache(8)
def _numbers(kind: str, data: bytes) -> bytes:
    return pydantic_core.to_json(np.frombuffer(data, kind).tolist(), inf_nan_mode="null")[1:-1]


def _cells(column: NDArray[Any] | list[str]) -> list[bytes]:
    """A column as cells of CSV."""
    if isinstance(column, np.ndarray):
        return _values(column, len(column)).replace(b"null", b"").split(b",")
    return [_cell(value) for value in column]


# A map names its classes again and again.
@lru_cache(4096)
def _cell(value: Shared) -> bytes:
    text = StringIO()
    csv.writer(text, lineterminator="").writerow(["", value])  # None is written as nothing, and a lone "" in quotes
    return text.getvalue()[1:].encode()


def _parts(picture: Picture) -> Iterator[Part]:
    for number, panel in enumerate(picture.panels):
        for mark in panel.marks:
            place: dict[str, Column] = {
                "panel": panel.name or _before(picture, number),
                "group": None if mark.group is None else picture.groups[mark.group],
            }
            yield from (Part(part.count, place | part.columns) for part in _rows(mark))


def _before(picture: Picture, number: int) -> str:
    """What a panel without a name of its own is part of: the one that begins its row."""
    return next(p.name for p in reversed(picture.panels[: number + 1]) if p.name)


def _rows(mark: Mark) -> Iterator[Part]:
    match mark:
        case Line():
            yield _line(mark)
        case HeatMap():
            yield _map(mark)
        case Cloud():
            yield from _cloud(mark)


def _line(line: Line) -> Part:
    return Part(len(line.x), {"style": line.style, "x": line.x, "y": line.y, "std": line.std, "runs": line.runs})


def _map(heat: HeatMap) -> Part:
    rows, columns = heat.values.shape
    named = {"row": [name for name in heat.rows for _ in range(columns)], "column": list(heat.columns) * rows}
    return Part(rows * columns, {**named, "value": heat.values.ravel(), "runs": heat.runs})


def _cloud(cloud: Cloud) -> Iterator[Part]:
    """Mixtures, then the classifier rows as enlarged, then what theory expects."""
    probe = cloud.probe
    classes = np.array(probe.classes)
    yield _points(cloud, "mixture", probe.points, probe.lam, probe.first, probe.second)
    yield _points(cloud, "classifier", cloud.factor * np.asarray(probe.classifier, np.float64), None, classes, classes)
    if probe.theory:
        yield from _theory(cloud, probe.theory, classes)


def _theory(cloud: Cloud, fit: Channels, classes: NDArray[np.integer]) -> Iterator[Part]:
    yield _points(cloud, "theory", fit.same, None, classes, classes)
    a, b, c = classes.tolist()
    for path, (first, second) in zip(fit.different, ((a, b), (b, c), (a, c)), strict=True):
        yield _points(cloud, "theory", path, np.linspace(0, 1, len(path)), first, second)


def _points(cloud: Cloud, style: str, at_N2: NDArray[np.floating], lam: Column, first: Column, second: Column) -> Part:
    columns = {"epoch": cloud.epoch, "style": style, "x": at_N2[:, 0], "y": at_N2[:, 1]}
    return Part(len(at_N2), {**columns, "lam": lam, "first": first, "second": second})


def plain(values: NDArray[np.floating]) -> list[float | None]:
    """Numbers; what is undefined is None."""
    listed: list[float] = np.asarray(values, np.float64).tolist()
    return [v if math.isfinite(v) else None for v in listed]
