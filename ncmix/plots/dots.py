"""The dots of a cloud as matplotlib draws them: as shapes, or in a file of vectors as one bitmap a panel.

Shapes: P dots, 2 coordinates.
"""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, BboxTransform, IdentityTransform
from numpy.typing import NDArray

# A dot is no circle but a polygon, drawn in three quarters of the time: at this size nobody can tell.
_DOT = Path.unit_regular_polygon(16).transformed(Affine2D().scale(0.5))


class Dots(PathCollection):
    """Dots in a panel, one colour each.

    A file of vectors holds them as shapes, or as a bitmap of the panel if a resolution is given. (Matplotlib draws what
    it makes a bitmap of on the whole page, once a panel: with a hundred panels that takes several times as long.)
    """

    def __init__(
        self, axes: Axes, at_P2: NDArray[np.floating], rgb_P3: NDArray[np.float64], area: float, dpi: int | None
    ) -> None:
        """
        Args:
            axes: the panel.
            at_P2: where they lie in it, in the units of its axes.
            rgb_P3: their colours.
            area: of a dot, in points².
            dpi: the resolution of the bitmap; None for shapes.
        """
        self._panel, self._dpi = axes, dpi
        super().__init__(
            [_DOT],
            [area],
            offsets=at_P2,
            offset_transform=axes.transData,
            facecolors=rgb_P3,
            linewidths=0,
            alpha=0.85,
            zorder=2,
        )
        self.set_transform(IdentityTransform())

    def draw(self, renderer: RendererBase) -> None:
        """Onto a bitmap, or into a file of vectors."""
        if self._dpi is None or isinstance(renderer, RendererAgg):
            super().draw(renderer)
            return
        box = self._panel.get_window_extent()
        # Such files have the lowest line first.
        renderer.draw_image(renderer.new_gc(), box.x0, box.y0, self._bitmap(self._dpi)[::-1])

    def _bitmap(self, dpi: int) -> NDArray[np.uint8]:
        """Red, green, blue and how opaque, of the panel and nothing but these dots."""
        wide, high = self._panel.get_window_extent().transformed(self._panel.figure.dpi_scale_trans.inverted()).size
        paper = Figure((wide, high), dpi)
        paper.patch.set_visible(False)
        alike = PathCollection(
            [_DOT],
            self.get_sizes(),
            offsets=self.get_offsets(),
            offset_transform=BboxTransform(self._panel.viewLim, paper.bbox),
            facecolors=self.get_facecolor(),
            linewidths=0,
        )
        alike.set_transform(IdentityTransform())
        paper.add_artist(alike)
        canvas = FigureCanvasAgg(paper)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())
