"""A figure as the bytes of a file, the same bytes for the same figure, from any thread."""

from collections.abc import Callable
from io import BytesIO
from threading import Lock
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ncmix.plots.options import Image

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

# Squeezing a PNG as hard as is usual takes as long as drawing it, for a tenth of its size.
_PNG: dict[str, Any] = {"pil_kwargs": {"compress_level": 1}}


def render(draw: Callable[[], Figure], image_format: Image, dpi: int) -> bytes:
    """The file; `dpi` is the resolution of PNG, and of what is a bitmap inside the others."""
    buffer = BytesIO()
    with _DRAWING, rc_context(_SETTINGS):
        extra = _PNG if image_format == "png" else {}
        draw().savefig(buffer, format=image_format, dpi=dpi, metadata=_METADATA[image_format], **extra)
    return buffer.getvalue()
