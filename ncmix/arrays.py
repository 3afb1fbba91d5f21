"""Named arrays that belong together: how the larger results of an epoch travel, to disk and to the database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ArraySet:
    """Named arrays with one row a sample, measured together: `train`, `test` (H, y), `mixed` (H, lam, first,
    second) or `geometry`; or one a class (`classifier`, `summary`), one a direction (`spectrum`).

    `facts` holds what is needed to read them and has no rows, such as the classifier or the batch-norm mode.
    """

    name: str
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(lengths := {len(a) for a in self.arrays.values()}) > 1:
            raise ValueError(f"The arrays of set {self.name!r} have different numbers of rows: {sorted(lengths)}")


def plain(array: NDArray[Any]) -> Any:
    """An array as nested lists that JSON can hold: what is not finite becomes None."""
    held = array.astype(object)
    held[~np.isfinite(array)] = None
    return held.tolist()


def numbers(nested: Any) -> NDArray[np.float64]:
    """What `plain` was given, with NaN where it was not finite."""
    return np.array(nested, np.float64)
