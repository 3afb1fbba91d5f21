"""The dots of a cloud: stamped onto a bitmap; in a file of vectors shapes, or where they are many a bitmap a panel.

Shapes: P dots, 2 coordinates, red, green and blue.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox, BboxTransformFrom, IdentityTransform, Transform
from numpy.typing import NDArray

from ncmix.plots import bitmaps

# A dot is no circle but a polygon, drawn in three quarters of the time: at this size nobody can tell.
_DOT = Path.unit_regular_polygon(16).transformed(Affine2D().scale(0.5))
_OPAQUE = 0.85

# On a bitmap colours are rounded to so many steps a channel: then one stamp is cut for many dots.
_SHADES = 24


class Dots(PathCollection):
    """Dots in a panel, one colour each. As shapes they keep their order; on a bitmap those of a shade come together."""

    def __init__(
        self, axes: Axes, at_P2: NDArray[np.floating], rgb_P3: NDArray[np.float64], area: float, dpi: int | None
    ) -> None:
        """
        Args:
            axes: the panel.
            at_P2: where they lie in it, in the units of its axes.
            rgb_P3: their colours.
            area: of a dot, in points².
            dpi: in a file of vectors the resolution of a bitmap of the panel; None for shapes.
        """
        self._panel, self._dpi, self._area = axes, dpi, area
        super().__init__(
            [_DOT],
            [area],
            offsets=at_P2,
            offset_transform=axes.transData,
            facecolors=rgb_P3,
            linewidths=0,
            alpha=_OPAQUE,
            zorder=2,
        )
        self.set_transform(IdentityTransform())

    def draw(self, renderer: RendererBase) -> None:
        """Onto a bitmap, or into a file of vectors."""
        if isinstance(renderer, RendererAgg):
            self._stamp(renderer, self._panel.transData)
        elif self._dpi is None:
            super().draw(renderer)
        else:
            box = self._around()
            bitmaps.place(renderer, box, self._bitmap(box, self._dpi), self._dpi)

    def _around(self) -> Bbox:
        """What the dots take of the page."""
        at_P2 = self._panel.transData.transform(np.asarray(self.get_offsets()))
        return Bbox([at_P2.min(axis=0), at_P2.max(axis=0)]).padded(self._area**0.5)

    def _stamp(self, paper: RendererAgg, where: Transform) -> None:
        at_P2 = where.transform(np.asarray(self.get_offsets()))
        size = Affine2D().scale(self._area**0.5 * paper.dpi / 72).get_matrix()
        unlined, as_it_is = _unlined(paper), IdentityTransform().get_matrix()
        stamp: Any = paper.draw_markers  # takes matrices, too, and is not slowed down by them
        for rgb, chosen in shades(np.asarray(self.get_facecolor())[:, :3]):
            stamp(unlined, _DOT, size, Path(at_P2[chosen]), as_it_is, (*rgb, _OPAQUE))

    def _bitmap(self, box: Bbox, dpi: int) -> NDArray[np.uint8]:
        """That part of the panel with nothing but these dots, its topmost line first."""
        wide, high = np.ceil(np.array(box.size) * dpi / 72)
        paper = RendererAgg(wide, high, dpi)
        page = Affine2D().scale(wide, high)
        paper.draw_path(_unlined(paper), Path.unit_rectangle(), page, to_rgb(self._panel.get_facecolor()))
        self._stamp(paper, self._panel.transData + BboxTransformFrom(box) + page)
        return np.asarray(paper.buffer_rgba())


def _unlined(paper: RendererAgg) -> GraphicsContextBase:
    how = paper.new_gc()
    how.set_linewidth(0)
    return how


def shades(rgb_P3: NDArray[np.float64]) -> Iterator[tuple[tuple[float, ...], NDArray[np.intp]]]:
    """Colours and the dots that have about that one, in a mixed order: neither of two hues may hide the other."""
    steps_P3 = np.rint(rgb_P3 * _SHADES).astype(np.int64)
    number_P = steps_P3 @ (_SHADES + 1) ** np.arange(3)
    order_P = np.argsort(number_P, kind="stable")
    groups = np.split(order_P, np.flatnonzero(np.diff(number_P[order_P])) + 1)
    for place in np.random.default_rng(0).permutation(len(groups)):
        yield tuple(steps_P3[groups[place][0]] / _SHADES), groups[place]
