"""Legends: what stands for each name and the name, in columns. Matplotlib's packs boxes in boxes, at many times the
cost.

Where names stand depends on how wide letters are, which only a renderer knows: they find their places as they are
drawn.
"""

from collections.abc import Sequence
from typing import Literal

from matplotlib.artist import Artist
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text
from matplotlib.transforms import IdentityTransform

from ncmix.plots import theme

# Points: how long a handle is, from it to its name, from the longest name of a column to the next, from line to line.
_HANDLE, _PAD, _GAP, _LINE = 19.2, 6.4, 12.8, 12.3
# Points from the top of a legend to the middle of its first line, and from there to the baseline.
_FIRST, _SINK = 3.2, 2.9

Corner = tuple[Literal["left", "right"], float, float]
"""Which edge of a legend is how many inches from that of the figure, and its top from the top."""


class Legend(Artist):
    """Names in columns, filled one after the other, from a corner of the figure."""

    def __init__(
        self,
        figure: Figure,
        handles: Sequence[Line2D],
        names: Sequence[str],
        columns: int,
        corner: Corner,
        colour: str,
    ) -> None:
        """For a figure, to which it is added.

        Args:
            figure: what it stands in.
            handles: lines, whose looks count.
            names: one each.
            columns: how many names side by side.
            corner: where it stands.
            colour: of the names.
        """
        super().__init__()
        self._side, self._beside, self._down = corner
        self._rows = -(-len(names) // columns)
        self._handles, self._size = list(handles), figure.bbox
        self._names = [Text(0, 0, name, color=colour, fontsize=theme.LABEL, va="baseline") for name in names]
        for part in self.get_children():
            part.set_figure(figure)
            part.set_transform(IdentityTransform())
        self.set_figure(figure)
        figure.legends.append(self)  # pyright: ignore[reportArgumentType] - it is drawn like one

    def get_texts(self) -> list[Text]:
        """The names, as matplotlib's legends call them."""
        return self._names

    def get_children(self) -> list[Artist]:
        """All that is drawn."""
        return [*self._handles, *self._names]

    def draw(self, renderer: RendererBase) -> None:
        """Put everything in its place, and draw it."""
        self._place(renderer)
        for part in self.get_children():
            part.draw(renderer)

    def _place(self, renderer: RendererBase) -> None:
        """In pixels, upwards."""
        point = float(renderer.points_to_pixels(1.0))  # pyright: ignore[reportArgumentType] - of a number it is one
        widths = [self._widest(first, renderer, point) for first in range(0, len(self._names), self._rows)]
        whole, beside = sum(widths) + (len(widths) - 1) * _GAP * point, self._beside * 72 * point
        x = beside if self._side == "left" else self._size.width - beside - whole
        for column, wide in enumerate(widths):
            y = self._size.height - (self._down * 72 + _FIRST) * point
            for place in range(column * self._rows, min((column + 1) * self._rows, len(self._names))):
                self._handles[place].set_data([x, x + _HANDLE * point], [y, y])
                self._names[place].set_position((x + (_HANDLE + _PAD) * point, y - _SINK * point))
                y -= _LINE * point
            x += wide + _GAP * point

    def _widest(self, first: int, renderer: RendererBase, point: float) -> float:
        """Pixels of a column with its handles."""
        names = self._names[first : first + self._rows]
        widest = max(
            renderer.get_text_width_height_descent(name.get_text(), name.get_fontproperties(), False)[0]
            for name in names
        )
        return widest + (_HANDLE + _PAD) * point
