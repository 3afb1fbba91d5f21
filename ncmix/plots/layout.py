"""Where panels stand in a figure, in inches: places are reckoned, not searched for by a layout engine, which is slow.

A figure is as large as its panels need, unless it is asked to be of a size: then the panels stretch or shrink, fewer
stand side by side in a narrow figure, and text stays as it is.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import ceil

from ncmix.plots.options import MOST_DOTS, PlotOptionError, Size

# Inches of a character of the title, bold.
TITLE_CHARACTER = 0.098

Place = tuple[float, float, float, float]


@dataclass(frozen=True)
class Heading:
    """What stands over the panels: a title, what names share, the names in a legend, the words of the key, a note."""

    title: str
    shared: str
    names: tuple[str, ...]
    key: tuple[str, ...]
    note: str

    def width(self, layout: "Layout") -> float:
        """Inches of the title and the key on one line, reckoned."""
        key = sum(layout.handle + layout.character * len(words) for words in self.key)
        return TITLE_CHARACTER * len(self.title) + key


@dataclass(frozen=True)
class Layout:
    """Inches of a board of panels, each `wide` × `high` unless fitted, and never less than the `least`.

    The width of a legend's entry is reckoned too, from a mean character and what stands before it. `square` panels are
    as high as they are wide.
    """

    wide: float
    high: float
    left: float = 0.50
    right: float = 0.16
    gap: float = 0.50
    head: float = 0.50
    foot: float = 0.30
    bottom: float = 0.46
    title: float = 0.46
    legend_line: float = 0.19
    character: float = 0.066
    handle: float = 0.60
    least: float = 1.1
    least_width: float = 4.8
    square: bool = False

    def fitted(self, count: int, columns: int, heading: "Heading", size: Size) -> "Board":
        """The places of `count` panels, at most `columns` side by side, below what stands over them."""
        columns = self._columns(min(columns, count), size)
        wide = self.wide if size.width is None else (size.width - self._beside(columns)) / columns
        width = max(self._beside(columns) + columns * wide, 0 if size.width else self.least_width)
        rows, legend_columns = ceil(count / columns), self.legend_columns(heading.names, width)
        crowded = heading.width(self) > width - self.left - self.right
        lines = bool(heading.shared) + ceil(len(heading.names) / legend_columns) + bool(heading.note) + crowded
        above = self.title + lines * self.legend_line
        between = above + rows * (self.head + self.foot) - self.foot + self.bottom
        high = wide if self.square else self.high
        if size.height is not None:
            high = (size.height - between) / rows
        if self.square:
            wide = high = min(wide, high)
        self._check(wide, high, columns, rows, between)
        height = size.height or between + rows * high
        _check_dots(width, height, size.dpi)
        return Board(replace(self, wide=wide, high=high), count, columns, width, height, above, legend_columns, crowded)

    def _beside(self, columns: int) -> float:
        return self.left + (columns - 1) * self.gap + self.right

    def _columns(self, most: int, size: Size) -> int:
        """As many columns as are wide enough to be read."""
        if size.width is None:
            return most
        enough = 0.75 * self.wide
        fit = int((size.width - self.left - self.right + self.gap) / (enough + self.gap))
        return max(1, min(most, fit))

    def legend_columns(self, labels: Sequence[str], width: float) -> int:
        """How many entries of a legend fit side by side."""
        entry = self.handle + self.character * max((len(label) for label in labels), default=0)
        return max(1, min(len(labels), int((width - self.left - self.right) / entry)))

    def _check(self, wide: float, high: float, columns: int, rows: int, between: float) -> None:
        if wide < self.least:
            need = self._beside(columns) + columns * self.least
            raise PlotOptionError(f"The figure is too narrow for its panels; it needs {need:.1f} inches at least.")
        if high < self.least * 0.7:
            need = between + rows * self.least * 0.7
            raise PlotOptionError(f"The figure is too low for {rows} rows of panels; it needs {need:.1f} inches.")


def _check_dots(width: float, height: float, dpi: int) -> None:
    if width * height * dpi**2 > MOST_DOTS:
        dots = f"{width * dpi:.0f} × {height * dpi:.0f}"
        raise PlotOptionError(f"A picture of {dots} dots is too large; ask for fewer dpi, at most {MOST_DOTS:,} dots.")


@dataclass(frozen=True)
class Board:
    """A layout that fits: `above` is what stands over the first panel's head; `crowded` if the key has its own line."""

    layout: Layout
    count: int
    columns: int
    width: float
    height: float
    above: float
    legend_columns: int
    crowded: bool

    def room(self, place: int) -> float:
        """Inches from the left of a panel to what is beside it: the gap or margin beyond it is nearly empty."""
        last = place % self.columns == self.columns - 1
        return self.layout.wide + (0.9 * self.layout.right if last else 0.8 * self.layout.gap)

    def places(self) -> Iterator[Place]:
        """Left, bottom, width and height of each panel as shares of the figure, in reading order."""
        each = self.layout
        for place in range(self.count):
            row, column = divmod(place, self.columns)
            x = each.left + column * (each.wide + each.gap)
            y = self.height - self.above - row * (each.head + each.high + each.foot) - each.head - each.high
            yield x / self.width, y / self.height, each.wide / self.width, each.high / self.height


BOARDS: dict[str, Layout] = {
    "small": Layout(wide=2.1, high=1.4, foot=0.16),
    "large": Layout(wide=3.9, high=2.5, left=0.66, gap=0.72),
    "classes": Layout(wide=3.9, high=2.5, left=0.66, gap=0.72, foot=0.95, bottom=1.05),
    "map": Layout(wide=2.9, high=2.9, left=0.95, gap=0.95, foot=0.72, bottom=1.25, square=True, least=1.4),
    "maps": Layout(wide=1.7, high=1.7, left=0.95, gap=0.24, foot=0.12, bottom=1.25, square=True),
}


@dataclass(frozen=True)
class Planes:
    """Inches of square panels, their heads and tick labels, and of the title and the key around all of them."""

    side: float
    head: float = 0.52
    foot: float = 0.32
    left: float = 0.46
    gap: float = 0.50
    right: float = 0.20
    title: float = 0.34
    key: float = 0.80
    least: float = 1.2
    least_width: float = 4.3
    count: int = 0
    columns: int = 1
    width: float = 0.0
    height: float = 0.0

    def fitted(self, count: int, columns: int, size: Size) -> "Planes":
        """The same with panels of a size that fits."""
        columns = min(columns, count)
        rows = ceil(count / columns)
        beside = self.left + (columns - 1) * self.gap + self.right
        between = self.title + rows * (self.head + self.foot) + self.key
        sides = [self.side] if size.width is None and size.height is None else []
        sides += [(size.width - beside) / columns] if size.width is not None else []
        sides += [(size.height - between) / rows] if size.height is not None else []
        if min(sides) < self.least or (size.width or self.least_width) < self.least_width:
            need = f"{max(self.least_width, beside + columns * self.least):.1f} × {between + rows * self.least:.1f}"
            raise PlotOptionError(f"The figure is too small for what is in it; it needs {need} inches at least.")
        side = min(sides)
        width = size.width or max(beside + columns * side, self.least_width)
        height = size.height or between + rows * side
        _check_dots(width, height, size.dpi)
        return replace(self, side=side, count=count, columns=columns, width=width, height=height)

    def places(self) -> Iterator[Place]:
        """As those of a board."""
        for place in range(self.count):
            row, column = divmod(place, self.columns)
            x = self.left + column * (self.side + self.gap)
            y = self.height - self.title - row * (self.head + self.side + self.foot) - self.head - self.side
            yield x / self.width, y / self.height, self.side / self.width, self.side / self.height


PLANES: dict[str, Planes] = {
    "plane": Planes(side=3.9),
    "planes": Planes(side=2.5, foot=0.12),
    "grid": Planes(side=1.9, gap=0.40, foot=0.12),
    "tall": Planes(side=1.4, gap=0.24, foot=0.08),
}
