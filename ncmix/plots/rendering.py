"""A figure as the bytes of a file, the same bytes for the same figure, from any thread."""

from collections.abc import Callable
from io import BytesIO
from threading import Lock
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from ncmix.garbage import uncollected
from ncmix.plots import png
from ncmix.plots.fonts import families
from ncmix.plots.letters import Canvas
from ncmix.plots.options import Image
from ncmix.plots.vectors import BACKEND

# Drawing is not thread-safe in matplotlib (one parser of formulas, one dict of settings), and it holds the
# interpreter anyway: one figure at a time costs nothing.
_DRAWING = Lock()

# Without a salt every SVG has new random ids; Type 42 fonts are what publishers accept. (For how many letters one of
# them holds, 256 or all, matplotlib looks at the setting of PostScript.) Letters not pulled to the pixels stand
# more evenly, at 80 dots an inch too, and are drawn in less time. PDFs that are squeezed harder take a tenth more time
# for a twentieth less size.
_SETTINGS: dict[Any, Any] = {
    "font.family": families(),
    "svg.hashsalt": "ncmix",
    "svg.fonttype": "path",
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "pdf.compression": 4,
    "text.hinting": "no_hinting",
}

# No dates and no versions: they would make each file differ from the last.
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": "ncmix"},
    "pdf": {"CreationDate": None, "Creator": "ncmix", "Producer": None},
}


def render(draw: Callable[[], Figure], image_format: Image, dpi: int) -> bytes:
    """The file; `dpi` is the resolution of PNG, and of what is a bitmap inside the others."""
    # Without a search for garbage, which would take a tenth of the time.
    with _DRAWING, rc_context(_SETTINGS), uncollected():
        if image_format == "png":
            return _png(draw(), dpi)
        buffer = BytesIO()
        draw().savefig(buffer, format=image_format, dpi=dpi, metadata=_METADATA[image_format], backend=BACKEND)
    return buffer.getvalue()


def _png(figure: Figure, dpi: int) -> bytes:
    figure.set_dpi(dpi)
    canvas = Canvas(figure)
    canvas.draw()
    return png.encode(np.asarray(canvas.buffer_rgba()), dpi)
