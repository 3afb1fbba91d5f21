"""The square around everything that a plane shows, and where in it the names of classes stand clear of that.

Shapes: X points of any kind, 3 classifiers, 2 coordinates in the plane.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

# Inches of a class's name: about a bold character's width, a line's height.
CHARACTER, LINE = 0.085, 0.14

Floats = NDArray[np.float64]


def square(all_X2: NDArray[np.floating]) -> tuple[Floats, float]:
    """The middle and the side of a square around all of it, with a margin."""
    low_2, high_2 = all_X2.min(axis=0).astype(np.float64), all_X2.max(axis=0).astype(np.float64)
    return (low_2 + high_2) / 2, float((high_2 - low_2).max()) * 1.06 or 1.0


def placed(
    shown_X2: NDArray[np.floating], rows_32: Floats, inches: float, names: Sequence[str]
) -> tuple[Floats, Floats, float]:
    """Where names stand clear of all that is shown in a square of so many inches; its middle and side, to hold both."""
    half_32 = np.array([(0.5 * CHARACTER * len(name), 0.5 * LINE) for name in names])
    # The names enlarge the frame, and a larger frame the names: the second guess is close enough.
    side = _placed(shown_X2, rows_32, square(shown_X2)[1] / inches * half_32)[2]
    return _placed(shown_X2, rows_32, side / inches * half_32)


def _placed(shown_X2: NDArray[np.floating], rows_32: Floats, room_32: Floats) -> tuple[Floats, Floats, float]:
    """The places of names of half those sizes, and the middle and side of a square around everything."""
    at_32 = np.array([_clear_of(shown_X2, row_2, room_2) for row_2, room_2 in zip(rows_32, room_32, strict=True)])
    return at_32, *square(np.vstack([shown_X2, at_32 - room_32, at_32 + room_32]))


def _clear_of(shown_X2: NDArray[np.floating], row_2: Floats, room_2: Floats) -> tuple[float, float]:
    """Where a name of half that size stands above a row that points up, or below it, clear of everything shown."""
    over_X = np.abs(shown_X2[:, 0] - row_2[0]) <= max(1.1 * room_2[0], 3 * room_2[1])
    up = 1.0 if row_2[1] >= 0 else -1.0
    return float(row_2[0]), float(up * (up * shown_X2[over_X, 1]).max() + up * 2.6 * room_2[1])
