"""Our own cut of DejaVu Sans: the same letters, widths and all; what it lacks comes from the whole font."""

from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.ft2font import FT2Font, LoadFlags

from ncmix import plots
from ncmix.plots import fonts, render
from ncmix.plots.fonts.cut import KEPT
from tests.ncmix.plots import synthetic

WHOLE = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.mark.parametrize("face", ["", "-Bold"])
def test_it_has_the_letters_of_the_whole_font(face):
    """Their outlines and their widths, so that what is measured with one fits the other."""
    ours, whole = FT2Font(fonts.FOLDER / f"ncmixSans{face}.ttf"), FT2Font(WHOLE / f"DejaVuSans{face}.ttf")
    there, kept = whole.get_charmap(), [code for codes in KEPT for code in codes]
    assert set(ours.get_charmap()) == set(there) & set(kept)
    assert set(map(ord, "azAZ09λμ₁½ₕ×·−…éŁΣЖ∂≤→")) <= set(ours.get_charmap())
    for code in ours.get_charmap():
        one, other = (font.load_char(code, flags=LoadFlags.NO_SCALE) for font in (ours, whole))
        assert one.linearHoriAdvance == other.linearHoriAdvance
        for mine, theirs in zip(ours.get_path(), whole.get_path(), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1 / 64)  # a unit of the font


def test_a_pdf_holds_it_and_of_the_whole_font_only_what_it_lacks():
    latin = render(plots.curves(synthetic.run("λ of Mixup")), "pdf")
    assert b"ncmixSans" in latin
    assert b"DejaVuSans" not in latin
    assert b"DejaVuSans" in render(plots.curves(synthetic.run("ქართული")), "pdf")
