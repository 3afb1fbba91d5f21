"""Heat maps, and the strip that explains their colours."""

from functools import cache

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.transforms import Bbox, TransformedBbox
from numpy.typing import NDArray

from ncmix.plots import bitmaps, theme
from ncmix.plots.layout import Board
from ncmix.plots.picture import HeatMap, Picture

# Up to so many columns each cell has its number.
NUMBERED = 12

# Dots of a cell, across: where it has fewer, some are seen to be half as wide again as others.
_LEAST = 3


class Cells(AxesImage):
    """Cells of one colour each, side by side over their extent: matplotlib resamples as if each could be anywhere."""

    def can_composite(self) -> bool:
        """Not with what lies beside it: that would be one bitmap, resampled."""
        return False

    def draw(self, renderer: RendererBase) -> None:
        """Each value as a rectangle of whole dots; matplotlib blends those that would have but one or two of them."""
        values = self.get_array()
        if values is None or self.axes is None:
            return
        left, right, bottom, top = self.get_extent()
        box = TransformedBbox(Bbox.from_extents(left, bottom, right, top), self.axes.transData)
        scale = renderer.get_image_magnification()
        wide, high = round(box.width * scale), round(box.height * scale)
        rows, columns = values.shape
        if wide < _LEAST * columns or high < _LEAST * rows:
            super().draw(renderer)
            return
        rgba = self.to_rgba(values, bytes=True)
        dots = rgba[np.arange(high) * rows // high][:, np.arange(wide) * columns // wide]
        bitmaps.place(renderer, box, dots, round(72 * scale))


def draw(axes: Axes, heat: HeatMap, colours: theme.Palette, *, small: bool) -> None:
    """The matrix, its first row on top; a `small` one without numbers."""
    rows, columns = heat.values.shape
    axes.set_ylim(rows - 0.5, -0.5)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    lay(axes, heat, (-0.5, columns - 0.5, rows - 0.5, -0.5), colours)
    if columns <= NUMBERED and not small:
        _numbers(axes, heat, colours)


def lay(axes: Axes, heat: HeatMap, extent: tuple[float, float, float, float], colours: theme.Palette) -> None:
    """The cells of the matrix over left, right, bottom and top in axes that have their limits."""
    # Not imshow, which would look for the limits of the data.
    image = Cells(
        axes,
        cmap=colourmap(heat, colours),
        norm=Normalize(heat.low, heat.high),
        extent=extent,
        interpolation="nearest" if heat.values.shape[1] <= 200 else "auto",
    )
    image.set_data(heat.values)
    image.set_clip_path(axes.patch)
    axes.add_image(image)


def _numbers(axes: Axes, heat: HeatMap, colours: theme.Palette) -> None:
    rgba = colourmap(heat, colours)((heat.values - heat.low) / (heat.high - heat.low))
    bright = rgba[..., :3] @ (0.299, 0.587, 0.114)
    for (row, column), value in np.ndenumerate(heat.values):
        if np.isfinite(value):
            colour = "#000000" if bright[row, column] > 0.5 else "#ffffff"
            axes.text(column, row, _number(value, heat), ha="center", va="center", fontsize=6, color=colour)


def _number(value: float, heat: HeatMap) -> str:
    """Two digits: a hundredth, or a per cent of shares."""
    if heat.shares:
        return f"{100 * value:.0f}" if value >= 0.005 or value == 0 else "<1"
    return f"{value:.2f}".replace("-", "−").replace("0.", ".").replace("−.00", ".00")


def colourmap(heat: HeatMap, colours: theme.Palette) -> Colormap:
    """From the paper to blue, or from orange over the paper to blue: colour-blind readers tell these apart."""
    return _colourmap(heat.diverging, colours)


@cache
def _colourmap(diverging: bool, colours: theme.Palette) -> Colormap:
    blue, orange = colours.lines[:2] if colours.paper == "#ffffff" else (colours.lines[0], colours.lines[5])
    steps = [orange, colours.paper, blue] if diverging else [colours.paper, blue]
    made = LinearSegmentedColormap.from_list("ncmix", [to_rgb(step) for step in steps])
    return made.with_extremes(bad=colours.grid)


def key(figure: Figure, picture: Picture, board: Board, colours: theme.Palette) -> None:
    """A strip of colour from the lowest to the highest value, at the foot of the figure."""
    heat = next(mark for panel in picture.panels for mark in panel.marks if isinstance(mark, HeatMap))
    place = (board.layout.left / board.width, 0.32 / board.height, 2.0 / board.width, 0.13 / board.height)
    axes = figure.add_axes(place)
    strip: NDArray[np.float64] = np.linspace(heat.low, heat.high, 256)[None, :]
    axes.imshow(strip, aspect="auto", extent=(heat.low, heat.high, 0, 1), cmap=colourmap(heat, colours))
    axes.set_yticks([])
    middle = 0.0 if heat.diverging else 0.5
    shown = (
        ["0%", "50%", "100%"] if heat.shares else [f"{v:g}".replace("-", "−") for v in (heat.low, middle, heat.high)]
    )
    axes.set_xticks([heat.low, middle, heat.high], shown)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=3, labelsize=theme.SMALL, labelcolor=colours.ink)
