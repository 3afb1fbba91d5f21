"""A figure as the bytes of a file, the same bytes for the same figure, from any thread."""

import gc
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from threading import Lock
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ncmix.plots.letters import Canvas
from ncmix.plots.options import Image

# Drawing is not thread-safe in matplotlib (one parser of formulas, one dict of settings), and it holds the
# interpreter anyway: one figure at a time costs nothing.
_DRAWING = Lock()

# Without a salt every SVG has new random ids; Type 42 fonts are what publishers accept. Letters that are not pulled to
# the pixels stand more evenly, at 80 dots an inch too, and are drawn in less time.
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "ncmix",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "text.hinting": "no_hinting",
}

# No dates and no versions: they would make each file differ from the last.
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "ncmix"},
    "pdf": {"CreationDate": None, "Creator": "ncmix", "Producer": None},
}

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB, _EIGHT_BITS, _METRES = 2, 8, 1
_INCHES_A_METRE = 1 / 0.0254


def render(draw: Callable[[], Figure], image_format: Image, dpi: int) -> bytes:
    """The file; `dpi` is the resolution of PNG, and of what is a bitmap inside the others."""
    with _DRAWING, rc_context(_SETTINGS), _uncollected():
        if image_format == "png":
            return _png(draw(), dpi)
        buffer = BytesIO()
        draw().savefig(buffer, format=image_format, dpi=dpi, metadata=_METADATA[image_format])
    return buffer.getvalue()


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without a search for garbage, a tenth of the time: of a picture's many objects none is garbage until it ends."""
    searched = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if searched:
            gc.enable()


def _png(figure: Figure, dpi: int) -> bytes:
    """Its bitmap, opaque, every line as it is.

    Filters, which Pillow always tries, and a harder squeeze help photographs: figures are flat, and come out larger and
    later by them.
    """
    figure.set_dpi(dpi)
    canvas = Canvas(figure)
    canvas.draw()
    rgba = np.asarray(canvas.buffer_rgba())
    high, wide, _ = rgba.shape
    lines = np.zeros((high, 1 + 3 * wide), np.uint8)  # a line begins with the number of its filter, 0 for none
    pixels = lines[:, 1:].reshape(high, wide, 3)
    for channel in range(3):  # one by one: five times as fast as three out of four at once
        pixels[..., channel] = rgba[..., channel]
    density = round(dpi * _INCHES_A_METRE)
    return _SIGNATURE + b"".join(
        (
            _chunk(b"IHDR", struct.pack(">2I5B", wide, high, _EIGHT_BITS, _RGB, 0, 0, 0)),
            _chunk(b"pHYs", struct.pack(">2IB", density, density, _METRES)),
            _chunk(b"IDAT", zlib.compress(lines.data, 1)),
            _chunk(b"IEND", b""),
        )
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG file: length, kind, data, checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(data, zlib.crc32(kind)))
