"""Bitmaps in files of vectors."""

from base64 import b64encode

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.transforms import BboxBase
from numpy.typing import NDArray

from ncmix.plots import png


def place(renderer: RendererBase, box: BboxBase, bitmap: NDArray[np.uint8], dpi: int) -> None:
    """Put a bitmap, its topmost line first, where `box` says, in the units of the renderer.

    Into SVG by our own hand: matplotlib's takes three times as long for a larger file.
    """
    # Only that of SVG has a writer of elements.
    if writer := getattr(renderer, "writer", None):
        _, page = renderer.get_canvas_width_height()
        at = {"x": box.x0, "y": page - box.y1, "width": box.width, "height": box.height}
        file = f"data:image/png;base64,{b64encode(png.encode(bitmap, dpi)).decode()}"
        writer.element("image", attrib={**{name: f"{value:.6g}" for name, value in at.items()}, "xlink:href": file})
    else:
        # The others have the lowest line first.
        renderer.draw_image(renderer.new_gc(), box.x0, box.y0, bitmap[::-1])
