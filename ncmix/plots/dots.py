"""The dots of a cloud: stamped onto a bitmap; in a file of vectors shapes, or where they are many a bitmap a panel.

Shapes: P dots, 2 coordinates, red, green and blue.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import GraphicsContextBase, RendererBase
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, Bbox, IdentityTransform, Transform
from numpy.typing import NDArray

from ncmix.plots import bitmaps

# A dot is no circle but a polygon, drawn in three quarters of the time: at this size nobody can tell.
_DOT = Path.unit_regular_polygon(16).transformed(Affine2D().scale(0.5))
_OPAQUE = 0.85

# On a bitmap colours are rounded to so many steps a channel: then one stamp is cut for many dots.
_SHADES = 24


class Dots(PathCollection):
    """The dots of one cloud or of many that lie apart, one colour each.

    As shapes they keep their order; on a bitmap those of a shade come together.
    """

    def __init__(
        self,
        axes: Axes,
        clouds: Sequence[NDArray[np.floating]],
        rgb_P3: NDArray[np.float64],
        area: float,
        dpi: int | None,
    ) -> None:
        """
        Args:
            axes: what they lie in.
            clouds: where the dots of each lie in it, in the units of its axes; none is empty.
            rgb_P3: the colours of all of them in turn.
            area: of a dot, in points².
            dpi: in a file of vectors the resolution of a bitmap of each cloud; None for shapes.
        """
        self._axes_of, self._dpi, self._area = axes, dpi, area
        self._first_C = np.cumsum([0, *map(len, clouds[:-1])])
        super().__init__(
            [_DOT],
            [area],
            offsets=np.concatenate(clouds),
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
            self._stamp(renderer, self._axes_of.transData)
        elif self._dpi is None:
            super().draw(renderer)
        else:
            for box, bitmap in self._bitmaps(self._dpi):
                bitmaps.place(renderer, box, bitmap, self._dpi)

    def _stamp(self, paper: RendererAgg, where: Transform) -> None:
        at_P2 = where.transform(np.asarray(self.get_offsets()))
        size = Affine2D().scale(self._area**0.5 * paper.dpi / 72).get_matrix()
        unlined, as_it_is = _unlined(paper), IdentityTransform().get_matrix()
        stamp: Any = paper.draw_markers  # takes matrices, too, and is not slowed down by them
        for rgb, chosen in shades(np.asarray(self.get_facecolor())[:, :3]):
            stamp(unlined, _DOT, size, Path(at_P2[chosen]), as_it_is, (*rgb, _OPAQUE))

    def _bitmaps(self, dpi: int) -> Iterator[tuple[Bbox, NDArray[np.uint8]]]:
        """What each cloud takes of the page, and that with nothing but dots, its topmost line first.

        All are stamped at once and cut out: a shade's stamp for every cloud would take longer than the dots.
        """
        scale = dpi / 72
        at_P2 = scale * self._axes_of.transData.transform(np.asarray(self.get_offsets()))
        beyond = scale * self._area**0.5
        low_C2 = np.floor(np.minimum.reduceat(at_P2, self._first_C) - beyond).astype(int)
        high_C2 = np.ceil(np.maximum.reduceat(at_P2, self._first_C) + beyond).astype(int)
        origin_2 = low_C2.min(axis=0)
        sheet = self._sheet(high_C2.max(axis=0) - origin_2, Affine2D().scale(scale).translate(*-origin_2), dpi)
        for low_2, high_2 in zip(low_C2, high_C2, strict=True):
            (left, low), (right, high) = low_2 - origin_2, high_2 - origin_2
            yield Bbox([low_2 / scale, high_2 / scale]), sheet[len(sheet) - high : len(sheet) - low, left:right]

    def _sheet(self, size_2: NDArray[np.int_], onto: Affine2D, dpi: int) -> NDArray[np.uint8]:
        """All of them on a bitmap of that size, the page taken `onto` it."""
        wide, high = size_2.tolist()
        paper = RendererAgg(wide, high, dpi)
        ground = to_rgb(self._axes_of.get_facecolor())
        paper.draw_path(_unlined(paper), Path.unit_rectangle(), Affine2D().scale(wide, high), ground)
        self._stamp(paper, self._axes_of.transData + onto)
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
