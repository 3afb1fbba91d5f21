"""A renderer of PDF that knows texts again: what is written once, in this or another picture, is laid out once.

Letters are half of the time of a picture of many panels. Matplotlib lays a text out, on a stage of ours that takes down
what it would put into the file; that is put there, and whenever the same text comes again.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sin
from typing import Any

from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_pdf import Op, RendererPdf, pdfRepr
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

_KEPT = 4096

# Letters beyond these are in subsets of their fonts, numbered as they come.
_CODES = 2**16

# A font by its path, and the subset of it.
_Font = tuple[Any, int]


class Pdf(RendererPdf):
    """Matplotlib's, but for texts without formulas."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._known: dict[_Typeset, bool] = {}

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
        """Their measures, in points."""
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        return _measured_in_pdf(s, prop.copy())

    def draw_text(
        self,
        gc: Any,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any = False,
        mtext: Text | None = None,
    ) -> None:
        """Write; y is upwards."""
        text = None if ismath or gc.get_url() else _typeset(s, prop.copy())
        if text is None or not self._has(text):
            super().draw_text(gc, x, y, s, prop, angle, ismath, mtext)
            return
        self.check_gc(gc, gc._rgb)
        turned = cos(radians(angle)), sin(radians(angle))
        self.file.output(Op.gsave)
        self.file.output(*turned, -turned[1], turned[0], x, y, Op.concat_matrix)
        for piece in text.written:
            self.file.write(piece if isinstance(piece, bytes) else pdfRepr(self.file.fontName(*piece)))

    def _has(self, text: "_Typeset") -> bool:
        """Whether the file will have the glyphs of a text, under the codes that are in its bytes."""
        if text not in self._known:
            track = self.file._character_tracker.track_glyph
            codes = [track(*glyph) for glyph in text.glyphs]  # all of them, whether or not the first are as they were
            self._known[text] = codes == list(text.glyphs.values())
        return self._known[text]


@dataclass(frozen=True, eq=False)
class _Typeset:
    """A text in a PDF: bytes, between which fonts are to be named, and the codes of its glyphs in the fonts."""

    written: tuple[bytes | _Font, ...]
    glyphs: Mapping[tuple[Any, Any, Any], tuple[int, int]]


@lru_cache(_KEPT)
def _measured_in_pdf(text: str, font: FontProperties) -> tuple[float, float, float]:
    return RendererPdf.get_text_width_height_descent(_RehearsedPdf(_Tape()), text, font, ismath=False)


@lru_cache(_KEPT)
def _typeset(text: str, font: FontProperties) -> _Typeset | None:
    """None of what needs more than a code a letter, and where matplotlib writes otherwise than it did."""
    tape = _Tape()
    try:
        _RehearsedPdf(tape).draw_text(GraphicsContextBase(), 0.0, 0.0, text, font, 0.0)
    except (AttributeError, TypeError, LookupError):
        return None
    if len(tape.said) < 2 or tape.said[0] != (Op.gsave,) or tape.said[1][-1] is not Op.concat_matrix:
        return None
    return _Typeset(tuple(_pieces(tape.said[2:])), tape.glyphs)


def _pieces(said: Iterable[tuple[Any, ...]]) -> Iterator[bytes | _Font]:
    for words in said:
        for word in words:
            yield from (word, b" ") if isinstance(word, tuple) else (pdfRepr(word) + b" ",)
        yield b"\n"


class _Tape:
    """What matplotlib takes for a PDF, as far as a text needs one."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, ...]] = []
        self.glyphs: dict[tuple[Any, Any, Any], tuple[int, int]] = {}
        self._character_tracker = self

    def output(self, *words: Any) -> None:
        """What would be written."""
        self.said.append(words)

    def fontName(self, path: Any, subset: int) -> _Font:  # noqa: N802 - matplotlib's
        """To be named in the file."""
        return path, subset

    def track_glyph(self, font: Any, letter: str | int, glyph: Any) -> tuple[int, int]:
        """The usual code of a glyph, that of its letter; the file may have another, and has if that is a long one."""
        code = ord(letter) if isinstance(letter, str) else letter
        if code >= _CODES:
            raise LookupError(letter)
        self.glyphs[font, letter, glyph] = 0, code
        return 0, code


class _RehearsedPdf(RendererPdf):
    def __init__(self, tape: _Tape) -> None:
        self.file = tape

    def check_gc(self, gc: GraphicsContextBase, fillcolor: Any = None) -> None:
        """A text is written in any colour."""
