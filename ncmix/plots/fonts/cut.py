"""Cuts the fonts in this folder out of matplotlib's: `make fonts`."""

from pathlib import Path

import matplotlib
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont

from ncmix.plots.fonts import FAMILY, FOLDER

# Latin, Greek and Cyrillic; punctuation, raised and lowered figures, fractions, arrows, operators.
KEPT = (
    *(range(0x20, 0x7F), range(0xA0, 0x180), range(0x370, 0x3D0), range(0x400, 0x460)),
    *(range(0x2010, 0x2045), range(0x2070, 0x209D), range(0x2150, 0x2160)),
    *(range(0x2190, 0x2200), range(0x2200, 0x2300)),
)
_FACES = ("", "-Bold")
# Ligatures and contexts are what takes the time; of kerning the old table is enough.
_NOT_KEPT = ["GSUB", "GPOS", "GDEF", "MATH", "FFTM", "DSIG"]
_NAMES = (1, 3, 4, 6, 16)


def main() -> None:
    """The command."""
    shipped = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    for face in _FACES:
        font = TTFont(shipped / f"DejaVuSans{face}.ttf", recalcTimestamp=False)
        _cut(font)
        _rename(font)
        font.save(FOLDER / f"ncmixSans{face}.ttf")
    (FOLDER / "LICENSE").write_bytes((shipped / "LICENSE_DEJAVU").read_bytes())


def _cut(font: TTFont) -> None:
    options = Options(hinting=False, glyph_names=False, legacy_kern=True, notdef_outline=True, name_IDs=["*"])
    options.layout_features = []
    options.drop_tables += _NOT_KEPT
    cutter = Subsetter(options)
    cutter.populate(unicodes=[code for codes in KEPT for code in codes])
    cutter.subset(font)


def _rename(font: TTFont) -> None:
    """It is not DejaVu any more."""
    for record in font["name"].names:
        if record.nameID in _NAMES:
            said = record.toUnicode().replace("DejaVu Sans", FAMILY).replace("DejaVuSans", FAMILY.replace(" ", ""))
            record.string = said.encode(record.getEncoding())


if __name__ == "__main__":
    main()
