"""A figure as the bytes of a file, the same bytes for the same figure, from any thread."""

from io import BytesIO
from threading import Lock
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ncmix.plots.options import FORMATS, Format, PlotError

# Drawing is not thread-safe in matplotlib (one parser of formulas, one dict of settings), and it holds the
# interpreter anyway: one figure at a time costs nothing.
_DRAWING = Lock()

# Without these every SVG has new random ids; Type 42 fonts are what publishers accept.
_SETTINGS: dict[Any, Any] = {"svg.hashsalt": "ncmix", "svg.fonttype": "path", "pdf.fonttype": 42}

# No dates and no versions: they would make each file differ from the last.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "ncmix"},
    "pdf": {"CreationDate": None, "Creator": "ncmix", "Producer": None},
}


def render(figure: Figure, image_format: Format, dpi: int) -> bytes:
    """The file; `dpi` is the resolution of PNG, and of what is a bitmap inside the others."""
    if image_format not in FORMATS:
        raise PlotError(f"{image_format!r} is not an image format; allowed are {', '.join(FORMATS)}.")
    buffer = BytesIO()
    with _DRAWING, rc_context(_SETTINGS):
        figure.savefig(buffer, format=image_format, dpi=dpi, metadata=_METADATA[image_format])
    return buffer.getvalue()
