"""A renderer of SVG that knows texts again: what is written once, in this or another picture, is laid out once.

Letters are half of the time of a picture of many panels. Matplotlib lays a text out, on a stage of ours that takes down
what it would put into the file; that is put there, and whenever the same text comes again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from matplotlib.backend_bases import GraphicsContextBase
from matplotlib.backends.backend_svg import RendererSVG
from matplotlib.colors import rgb2hex
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text
from matplotlib.textpath import text_to_path

_KEPT = 4096

# Points in which SVG has its glyphs.
_SIZE = float(text_to_path.FONT_SCALE)


class Svg(RendererSVG):
    """Matplotlib's, but for texts without formulas."""

    def __init__(self, width: float, height: float, out: Any, **fields: Any) -> None:
        """As matplotlib's, into a file of characters."""
        self._out = out
        super().__init__(width, height, out, **fields)

    def get_text_width_height_descent(self, s: str, prop: FontProperties, ismath: Any) -> tuple[float, float, float]:
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
def _measured_in_svg(text: str, font: FontProperties) -> tuple[float, float, float]:
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
