"""A renderer of bitmaps that knows texts again: what is written once, in this or another picture, is laid out once.

Half of the time of a picture of many panels went into letters, most of which are the same numbers and names again. A
text stands on a whole line of pixels and begins at a quarter of one: so four bitmaps of each are enough.
"""

from functools import lru_cache
from math import ceil
from typing import Any

import numpy as np
from matplotlib import rcParams
from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from numpy.typing import NDArray

_PHASES = 4
# Pixels around a text that its letters may reach beyond their measure.
_MARGIN = 3
_KEPT = 4096


class Renderer(RendererAgg):
    """Matplotlib's, but for horizontal texts without formulas."""

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
        """Their measures, in pixels."""
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        return _measured(s, prop.copy(), self.dpi, rcParams["text.hinting"])

    def draw_text(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Text | None = None,
    ) -> None:
        """Write; y is downwards."""
        if ismath or angle:
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        pixel, phase = divmod(round(_PHASES * x), _PHASES)
        ink, below = _written(s, prop.copy(), self.dpi, phase, rcParams["text.hinting"])
        self._renderer.draw_text_image(ink, pixel - _MARGIN, round(y) + below, 0, gc)


@lru_cache(_KEPT)
def _measured(text: str, font: FontProperties, dpi: float, hinting: str) -> tuple[float, float, float]:
    """In the `hinting` of now, which makes another text of it."""
    return RendererAgg(1, 1, dpi).get_text_width_height_descent(text, font, ismath=False)


@lru_cache(_KEPT)
def _written(text: str, font: FontProperties, dpi: float, phase: int, hinting: str) -> tuple[NDArray[np.uint8], int]:
    """How much of each pixel a text covers, and how many pixels it reaches below its line; a margin is around it."""
    width, height, descent = _measured(text, font, dpi, hinting)
    above, below = ceil(height - descent) + _MARGIN, ceil(descent) + _MARGIN
    paper = RendererAgg(ceil(width) + 1 + 2 * _MARGIN, above + below, dpi)
    paper.draw_text(paper.new_gc(), _MARGIN + phase / _PHASES, above, text, font, 0)
    return np.asarray(paper.buffer_rgba())[..., 3].copy(), below


class Canvas(FigureCanvasAgg):
    """A canvas that has such a renderer."""

    def get_renderer(self) -> Renderer:
        """A new one: a picture is drawn once."""
        width, height = self.figure.bbox.size
        self.renderer = Renderer(width, height, self.figure.dpi)
        return self.renderer
