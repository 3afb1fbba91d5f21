"""Renderers of SVG and PDF that know texts again: what is written once, in this or another picture, is laid out once.

Letters are half of the time of a picture of many panels. Matplotlib lays a text out, on a stage of ours that takes down
what it would put into the file; that is put there, and whenever the same text comes again.
"""

import codecs
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import cos, radians, sin
from typing import IO, Any

from matplotlib.backend_bases import FigureCanvasBase, GraphicsContextBase
from matplotlib.backends.backend_mixed import MixedModeRenderer
from matplotlib.backends.backend_pdf import Op, PdfFile, RendererPdf, pdfRepr
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.colors import rgb2hex
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

_KEPT = 4096
# Points in which SVG has its glyphs.
_SIZE = float(text_to_path.FONT_SCALE)

Measures = tuple[float, float, float]


class FigureCanvas(FigureCanvasBase):
    """Writes figures as matplotlib's own canvases do, but for the renderers: `savefig(…, backend=BACKEND)`.

    Colours of the paper and the like, which `savefig` hands over, are in the figure by then.
    """

    filetypes = {"svg": "Scalable Vector Graphics", "pdf": "Portable Document Format"}  # noqa: RUF012 - as the others
    fixed_dpi = 72

    def print_svg(self, filename: IO[bytes], *, metadata: Any = None, **_: Any) -> None:
        """Write SVG into a file that is open."""
        dpi, (width, height) = self._in_points()
        out = codecs.getwriter("utf-8")(filename)
        inner = Svg(72 * width, 72 * height, out, image_dpi=dpi, metadata=metadata)
        self._draw(MixedModeRenderer(self.figure, width, height, dpi, inner))

    def print_pdf(self, filename: IO[bytes], *, metadata: Any = None, **_: Any) -> None:
        """Write PDF into a file that is open."""
        dpi, (width, height) = self._in_points()
        file = PdfFile(filename, metadata=metadata)
        try:
            file.newPage(width, height)
            self._draw(MixedModeRenderer(self.figure, width, height, dpi, Pdf(file, dpi, height, width)))
            file.finalize()
        finally:
            file.close()

    def _in_points(self) -> tuple[float, tuple[float, float]]:
        """Let a dot be a point; gives the resolution that bitmaps shall have, and the inches of the figure."""
        dpi, self.figure.dpi = self.figure.dpi, 72
        width, height = self.figure.get_size_inches()
        return dpi, (width, height)

    def _draw(self, renderer: Any) -> None:
        """A MixedModeRenderer only behaves as a renderer does."""
        self.figure.draw(renderer)
        renderer.finalize()


BACKEND = f"module://{__name__}"


class Pdf(RendererPdf):
    """Matplotlib's, but for texts without formulas."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._known: dict[_Typeset, bool] = {}

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> Measures:
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


# Letters beyond these are in subsets of their fonts, numbered as they come.
_CODES = 2**16

# A font by its path, and the subset of it.
_Font = tuple[Any, int]


@dataclass(frozen=True, eq=False)
class _Typeset:
    """A text in a PDF: bytes, between which fonts are to be named, and the codes of its glyphs in the fonts."""

    written: tuple[bytes | _Font, ...]
    glyphs: Mapping[tuple[Any, Any, Any], tuple[int, int]]


@lru_cache(_KEPT)
def _measured_in_pdf(text: str, font: FontProperties) -> Measures:
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


class Svg(RendererSVG):
    """Matplotlib's, but for texts without formulas."""

    def __init__(self, width: float, height: float, out: Any, **fields: Any) -> None:
        """As matplotlib's, into a file of characters."""
        self._out = out
        super().__init__(width, height, out, **fields)

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> Measures:
        """Their measures, in points."""
        if ismath:
            return super().get_text_width_height_descent(s, prop, ismath)
        return _measured_in_svg(s, prop.copy())

    def _draw_text_as_path(
        self,
        gc: GraphicsContextBase,
        x: float,
        y: float,
        s: str,
        prop: FontProperties,
        angle: float,
        ismath: Any,
        mtext: Text | None = None,
    ) -> None:
        text = None if ismath or gc.get_rgb()[3] != 1 else _outlined(s, _of_size(prop))
        if text is None:
            super()._draw_text_as_path(gc, x, y, s, prop, angle, ismath, mtext)
            return
        self.writer.comment(s)  # ends the tag that is open
        self._update_glyph_map_defs({g: path for g, path in text.glyphs.items() if g not in self._glyph_map})
        scale = prop.get_size_in_points() / _SIZE
        turned = f" rotate({-angle:.6g})" if angle else ""
        colour, place = rgb2hex(gc.get_rgb()), f"translate({x:.6f} {y:.6f}){turned} scale({scale:.6g} {-scale:.6g})"
        self._out.write(f'<g style="fill: {colour}" transform="{place}">\n{text.written}</g>\n')


def _of_size(font: FontProperties) -> FontProperties:
    """In one size, from which SVG scales: then a text of another size is the same."""
    same = font.copy()
    same.set_size(_SIZE)
    return same


@dataclass(frozen=True)
class _Outlined:
    """A text in SVG: uses of glyphs, in a size of 100, and their outlines by name."""

    written: str
    glyphs: Mapping[str, Any]


@lru_cache(_KEPT)
def _measured_in_svg(text: str, font: FontProperties) -> Measures:
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)


@lru_cache(_KEPT)
def _outlined(text: str, font: FontProperties) -> _Outlined | None:
    """None where matplotlib writes otherwise than it did."""
    stage = _RehearsedSvg()
    try:
        RendererSVG._draw_text_as_path(stage, GraphicsContextBase(), 0.0, 0.0, text, font, 0.0, ismath=False)
    except (AttributeError, TypeError, LookupError):
        return None
    return _Outlined("".join(stage.uses), stage.glyphs)


class _RehearsedSvg(RendererSVG):
    """Its own writer: takes the uses of glyphs down, and knows none."""

    def __init__(self) -> None:
        self.uses: list[str] = []
        self.glyphs: dict[str, Any] = {}
        self._glyph_map, self._text2path, self.writer = {}, text_to_path, self

    def _update_glyph_map_defs(self, glyph_map_new: Mapping[str, Any]) -> None:
        self.glyphs |= glyph_map_new

    def element(self, tag: str, *, transform: str, attrib: Mapping[str, str]) -> None:
        """A glyph at its place."""
        words = [f' {name}="{value}"' for name, value in {"transform": transform, **attrib}.items() if value]
        self.uses.append(f"<{tag}{''.join(words)}/>\n")

    def start(self, tag: str, **attributes: str) -> None:
        """The group of the text, which is written anew each time."""

    def end(self, tag: str) -> None:
        """Its end."""

    def comment(self, text: str) -> None:
        """What the text says."""
