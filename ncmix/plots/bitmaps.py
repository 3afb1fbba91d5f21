"""Bitmaps in files of vectors."""

from base64 import b64encode
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from matplotlib.backend_bases import RendererBase
from matplotlib.backends.backend_pdf import Name
from matplotlib.transforms import BboxBase
from numpy.typing import NDArray

from ncmix.plots import png


def place(renderer: RendererBase, box: BboxBase, bitmap: NDArray[np.uint8], dpi: int) -> None:
    """Put a bitmap, its topmost line first, where `box` says, in the units of the renderer.

    Squeezed by our own hand: matplotlib's takes three times as long, and in SVG for a larger file.
    """
    if writer := getattr(renderer, "writer", None):  # only that of SVG has one, of elements
        _, page = renderer.get_canvas_width_height()
        at = {"x": box.x0, "y": page - box.y1, "width": box.width, "height": box.height}
        file = f"data:image/png;base64,{b64encode(png.encode(bitmap, dpi)).decode()}"
        writer.element("image", attrib={**{name: f"{value:.6g}" for name, value in at.items()}, "xlink:href": file})
        return
    if file := getattr(renderer, "file", None):  # only that of PDF has one
        _hasten(file)
        bitmap = png.opaque(bitmap)
    # The others have the lowest line first.
    renderer.draw_image(renderer.new_gc(), box.x0, box.y0, bitmap[::-1])


def _hasten(file: Any) -> None:
    """Let a PDF squeeze its bitmaps by our own hand as it is closed, if it does so where it did."""
    slowly = getattr(file, "_writeImg", None)
    if slowly is not None and not isinstance(slowly, partial):
        file._writeImg = partial(_write, file, slowly)


def _write(file: Any, slowly: Callable[..., None], data: NDArray[np.uint8], number: int, smask: Any = None) -> None:
    """Write a bitmap into a PDF; one that is not of opaque colours is left to matplotlib."""
    high, wide, colours = data.shape
    if smask or colours != 3:
        slowly(data, number, smask)
        return
    told = {"Type": Name("XObject"), "Subtype": Name("Image"), "Width": wide, "Height": high}
    told |= {"ColorSpace": Name("DeviceRGB"), "BitsPerComponent": 8}
    lines = {"Predictor": 10, "Colors": 3, "Columns": wide}
    file.beginStream(number, file.reserveObject("length of image stream"), told, png=lines)
    file.currentstream.write(png.squeezed(data))
    file.endStream()
