"""Our own cut of DejaVu Sans, for PDF's sake: matplotlib embeds a small font in a third of the time of a large one.

Both have the same shapes and widths. What the small one lacks is taken from the large one, letter by letter.
"""

from pathlib import Path

from matplotlib.font_manager import fontManager

FOLDER = Path(__file__).parent
FAMILY = "ncmix Sans"


def families() -> list[str]:
    """What figures are lettered in, the first choice first, known to matplotlib from now on."""
    for path in sorted(FOLDER.glob("*.ttf")):
        fontManager.addfont(path)
    return [FAMILY, "DejaVu Sans"]
