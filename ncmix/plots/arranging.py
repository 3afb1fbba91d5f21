"""Where the panels of an interactive figure stand: as many side by side as a window is wide enough for their heads.

Lengths are pixels.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ncmix.plots import naming
from ncmix.plots.options import Size
from ncmix.plots.picture import Layout, Picture

# An inch; one row of panels; what stands between rows, over and below all; a line of the legend.
INCH, _ROW, _BETWEEN, ABOVE, _BELOW, _LEGEND_LINE = 96, 260, 90, 96, 60, 22
_SQUARE = 420
LEFT, RIGHT = 64, 24
# So many planes side by side are about as wide as a row is high in a window of 1,600 pixels.
_SIDE_BY_SIDE = 4.4

# A character of a panel's name, bold, and of what stands below it; what is beside a panel.
_BOLD, _PLAIN, _BESIDE = 5.8, 4.8, 40
# What a panel and what is beside it need at least.
_LEAST: dict[Layout, int] = {"small": 200, "large": 340, "classes": 340, "map": 330, "maps": 200, "plane": 300}

Domain = list[float]


def arranged(picture: Picture, window: int) -> Picture:
    """With as many panels side by side as fit into a window so wide; a grid keeps its columns, which are epochs."""
    if picture.layout == "grid":
        return picture
    fit = int((window - LEFT - RIGHT) / _needed(_named(picture)))
    return replace(picture, columns=max(1, min(picture.columns, fit)))


def fitted(picture: Picture, size: Size) -> Picture:
    """As it is arranged in the width that is asked for, if one is."""
    return arranged(picture, round(size.width * INCH)) if size.width else picture


def arrangements(picture: Picture, size: Size) -> list[dict[str, Any]]:
    """All ways to put the panels, the widest first: from which width of a window on, the height, and each place."""
    picture = _named(picture)
    most = min(fitted(picture, size).columns, len(picture.panels))
    fewest = most if size.width or picture.layout == "grid" else 1
    return [_arrangement(replace(picture, columns=columns), size) for columns in range(most, fewest - 1, -1)]


def _named(picture: Picture) -> Picture:
    """With the names that its groups have in a figure."""
    return replace(picture, groups=tuple(naming.apart(picture.groups)[1]))


def _arrangement(picture: Picture, size: Size) -> dict[str, Any]:
    high = height(picture, size)
    least = math.ceil(LEFT + RIGHT + picture.columns * _needed(picture))
    return {"least": least, "height": high, "places": list(places(picture, high))}


def _needed(picture: Picture) -> float:
    """What a panel and what is beside it need, so that no head runs into the next or out of the window."""
    heads = [naming.words(panel, picture, picture.groups) for panel in picture.panels]
    longest = max(max(_BOLD * len(name), *(_PLAIN * len(line) for line in naming.lines(said))) for name, said in heads)
    return max(_LEAST.get(picture.layout, 0), longest + _BESIDE)


def height(picture: Picture, size: Size) -> int:
    """Of the whole figure, unless it is asked for."""
    rows = math.ceil(len(picture.panels) / picture.columns)
    high = _SQUARE if picture.layout in ("map", "plane") else _ROW
    if picture.of_planes:  # squares: many side by side are narrower than a row is high
        high = round(high * min(1.0, _SIDE_BY_SIDE / picture.columns))
    return round((size.height or 0) * INCH) or ABOVE + rows * (high + _BETWEEN) - _BETWEEN + below(picture)


def below(picture: Picture) -> int:
    """What stands below the panels: their axes' words, and the legend."""
    return _BELOW + _legend_height(picture)


def _legend_height(picture: Picture) -> int:
    """Of the legend in a window of a thousand, reckoned from its entries."""
    if picture.of_maps or picture.of_planes:
        return _LEGEND_LINE if picture.of_planes else 0
    entries = {(line.group, line.style) for panel in picture.panels for line in panel.lines}
    longest = max((len(name) for name in picture.groups), default=0) + 20
    return _LEGEND_LINE * math.ceil(len(entries) / max(1, 1000 // (40 + 6 * longest)))


def places(picture: Picture, high: int) -> Iterator[tuple[Domain, Domain]]:
    """The domains of each panel, left to right and bottom to top, as shares of the plotting area."""
    columns = min(picture.columns, len(picture.panels))
    rows = math.ceil(len(picture.panels) / columns)
    across = 0.32 / max(4, columns)
    wide = (1 - across * (columns - 1)) / columns
    up = _BETWEEN / max(1, high - ABOVE - below(picture))
    tall = (1 - up * (rows - 1)) / rows
    for number in range(len(picture.panels)):
        row, column = divmod(number, columns)
        x, y = column * (wide + across), 1 - row * (tall + up) - tall
        yield [x, min(1, x + wide)], [max(0, y), y + tall]
