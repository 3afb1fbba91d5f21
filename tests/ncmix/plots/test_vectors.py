"""Texts in SVG and PDF that were laid out before stand where matplotlib would put them, letter by letter."""

import re
import xml.etree.ElementTree as ET
from io import BytesIO

import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from ncmix.plots import pdf_letters, rendering, svg_letters, vectors

# Numbers, other scripts, kerning, a letter of another font and one beyond the first 65,536; a formula; nothing.
TEXTS = ["0.25", "−10⁻³", "AVATAR Tölö", "λ = ½", "Ա κόσμος", "𝔸 double", "$\\alpha^2$ is not ours", " "]
HREF = "{http://www.w3.org/1999/xlink}href"


def figure() -> Figure:
    """Every text twice, in another size, colour and direction; one see-through, one in bold, one in two lines."""
    made = Figure((6, 6))
    for number, text in enumerate(TEXTS):
        made.text(0.1, 0.1 + number / 10, text, fontsize=7 + number, color="#123456")
        made.text(0.6, 0.1 + number / 10, text, fontsize=9, rotation=30 * number, color="black")
    made.text(0.4, 0.95, "see-through", alpha=0.5)
    made.text(0.4, 0.9, "bold", fontweight="bold")
    made.text(0.4, 0.8, "two\nlines", ha="center", va="center")
    return made


def saved(kind: str, backend: str | None) -> bytes:
    with rc_context({**rendering._SETTINGS, "pdf.compression": 0}):
        buffer = BytesIO()
        figure().savefig(buffer, format=kind, metadata=rendering._METADATA[kind], backend=backend)
    return buffer.getvalue()


def parsed(svg: bytes) -> ET.Element:
    return ET.fromstring(svg)  # noqa: S314 - our own


def glyphs(svg: bytes) -> list[tuple[str, tuple[str, ...], list[float]]]:
    """What is drawn where: the outline, the styles and the numbers of all transforms around it."""
    found = []

    def look(element: ET.Element, styles: tuple[str, ...], moves: str) -> None:
        styles += tuple(filter(None, (element.get("style", "").replace("fill: #000000", ""),)))
        moves += f" {element.get('transform', '')}"
        if element.tag.endswith("}use"):
            numbers = [float(n) for n in re.findall(r"-?\d[\d.]*(?:e-?\d+)?", moves)]
            found.append((element.attrib[HREF], styles, numbers))
        for child in element:
            look(child, styles, moves)

    look(parsed(svg), (), "")
    return found


def outlines(svg: bytes) -> set[str | None]:
    return {e.get("id") for e in parsed(svg).iter() if e.tag.endswith("}path") and e.get("id")}


def page(pdf: bytes) -> list[bytes]:
    """The words of all that is drawn on the page."""
    return max(re.findall(rb"stream\r?\n(.*?)endstream", pdf, re.DOTALL), key=lambda s: s.count(b" Tf")).split()


@pytest.fixture(autouse=True)
def forgotten() -> None:
    """No text is known at first."""
    pdf_letters._typeset.cache_clear()
    svg_letters._outlined.cache_clear()


def test_a_text_in_svg_has_the_glyphs_that_matplotlib_gives_it() -> None:
    plain = saved("svg", None)
    for _ in range(2):  # new, and known
        ours = saved("svg", vectors.BACKEND)
        assert [(name, styles) for name, styles, _ in glyphs(ours)] == [(n, s) for n, s, _ in glyphs(plain)]
        for (_, _, our_numbers), (_, _, numbers) in zip(glyphs(ours), glyphs(plain), strict=True):
            assert our_numbers == pytest.approx(numbers, abs=2e-5)
        assert outlines(ours) == outlines(plain)
    assert svg_letters._outlined.cache_info().hits > len(TEXTS)


def test_a_text_in_pdf_is_written_as_matplotlib_writes_it() -> None:
    plain = saved("pdf", None)
    for _ in range(2):
        ours = saved("pdf", vectors.BACKEND)
        assert page(ours) == page(plain)
        assert len(ours) == pytest.approx(len(plain), rel=0.01)  # the fonts that are embedded, above all
    assert pdf_letters._typeset.cache_info().hits > len(TEXTS)


def test_letters_of_all_scripts_are_in_one_font_of_the_pdf() -> None:
    with rc_context(rendering._SETTINGS):
        made = Figure()
    made.text(0, 0, "λ = ½ … μ")
    assert rendering.render(lambda: made, "pdf", 100).count(b"/FontFile2") == 1


def test_where_matplotlib_writes_otherwise_than_it_did_it_does_so_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = glyphs(saved("svg", None)), page(saved("pdf", None))
    monkeypatch.delattr(pdf_letters._Tape, "track_glyph")
    monkeypatch.setattr(svg_letters._RehearsedSvg, "element", None)
    assert (glyphs(saved("svg", vectors.BACKEND)), page(saved("pdf", vectors.BACKEND))) == plain
    assert pdf_letters._typeset("0.25", FontProperties()) is None
    assert svg_letters._outlined("0.25", FontProperties()) is None


def test_a_file_whose_letters_have_other_codes_is_matplotlib_s(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = page(saved("pdf", None))
    monkeypatch.setattr(pdf_letters.Pdf, "_has", lambda self, text: False)
    assert page(saved("pdf", vectors.BACKEND)) == plain
