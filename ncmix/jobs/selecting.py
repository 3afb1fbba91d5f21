"""Which rows of an array set are asked for: all, some in a row, those of a class."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncmix.errors import NcmixError
from ncmix.jobs.chunks import Source

_RANGE = re.compile(r"(\d*):(\d*)")


class SelectionError(NcmixError, ValueError):
    """A set does not have what is asked of it; the message is a sentence."""


@dataclass(frozen=True)
class Selection:
    """Rows `first` to `last` − 1, or only those of them that are `picked`, increasing."""

    first: int
    last: int
    picked: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return self.last - self.first if self.picked is None else len(self.picked)

    def within(self, first: int, last: int) -> slice | NDArray[np.int64]:
        """Those among rows `first` to `last` − 1, counted from `first`."""
        if self.picked is None:
            return slice(max(self.first - first, 0), max(min(self.last, last) - first, 0))
        start, stop = np.searchsorted(self.picked, (first, last))
        return self.picked[start:stop] - first

    def count(self, first: int, last: int) -> int:
        """How many there are among rows `first` to `last` − 1."""
        found = self.within(first, last)
        return max(0, found.stop - found.start) if isinstance(found, slice) else len(found)


def select(source: Source, class_: int | None, rows: str | None) -> Selection:
    """The rows of a set that have this label `y`, and of those the ones in `a:b`, as Python slices them.

    Raises:
        SelectionError: the set has no labels, or `rows` is no such range.
    """
    if class_ is None:
        first, last = _bounds(rows, source.kept.rows)
        return Selection(first, last)
    if "y" not in source.columns:
        raise SelectionError(f"The set {source.kept.name!r} has no labels y, so class={class_} selects nothing in it.")
    picked = np.flatnonzero(source.whole("y") == class_).astype(np.int64)
    first, last = _bounds(rows, len(picked))
    return Selection(0, source.kept.rows, picked[first:last])


def only(source: Source, array: str | None) -> str:
    """The array to give where a file holds a single one: the one that is named, or H, or the only one.

    Raises:
        SelectionError: there is no such array, or it is not clear which one is meant.
    """
    names = list(source.columns)
    if array in names or (array is None and len(names) == 1):
        return array or names[0]
    if array is None and "H" in names:
        return "H"
    known = ", ".join(names)
    if array is None:
        raise SelectionError(f"The set {source.kept.name!r} has several arrays; array= names one of {known}.")
    raise SelectionError(f"The set {source.kept.name!r} has no array {array!r}; there are {known}.")


def _bounds(rows: str | None, count: int) -> tuple[int, int]:
    match = _RANGE.fullmatch(rows if rows is not None else ":")
    if match is None:
        raise SelectionError(f"rows is {rows!r}; allowed is a:b with whole numbers, of which either may be left out.")
    first, last = (int(word) if word else None for word in match.groups())
    start, stop, _ = slice(first, last).indices(count)
    return start, max(start, stop)


def taken(rows: NDArray[Any], which: slice | NDArray[np.int64]) -> NDArray[Any]:
    """These of some rows, in C order."""
    return np.ascontiguousarray(rows[which])
