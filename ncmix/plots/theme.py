"""How figures look: colours that colour-blind readers tell apart, quiet axes, text that fits."""

from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from ncmix.plots.options import PlotError, Theme

# Points: titles of figures, of panels, labels, and what may be small.
TITLE, PANEL, LABEL, SMALL = 11.0, 9.0, 8.0, 7.0

# Ticks fall on multiples of these.
STEPS = (1, 2, 5, 10)


@dataclass(frozen=True)
class Palette:
    """The colours of a theme: `paper` behind, `ink` for what is read, `muted` and `grid` for what is not looked at.

    `same` and `different` are the hues of pairs of classes, `theory` of what theory expects.
    `lines` are the Okabe-Ito colours in an order in which neighbours differ most, also in grey.
    """

    paper: str
    ink: str
    muted: str
    grid: str
    same: str
    different: str
    theory: str
    lines: tuple[str, ...]


PALETTES: dict[Theme, Palette] = {
    "light": Palette(
        paper="#ffffff",
        ink="#000000",
        muted="#5f6368",
        grid="#e8e8e8",
        same="#1e9bff",
        different="#ff5a36",
        theory="#00875f",
        lines=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#000000"),
    ),
    "dark": Palette(
        paper="#12161c",
        ink="#ffffff",
        muted="#a3abb5",
        grid="#2a3038",
        same="#1b86e0",
        different="#e8502c",
        theory="#3fe0a8",
        lines=("#56b4e9", "#e69f00", "#2fc79a", "#e08fc0", "#f0e442", "#ff7f50", "#ffffff"),
    ),
}


def palette(theme: Theme) -> Palette:
    """The colours of a theme.

    Raises:
        PlotError: there is no such theme.
    """
    if theme not in PALETTES:
        raise PlotError(f"{theme!r} is not a theme; allowed are {', '.join(PALETTES)}.")
    return PALETTES[theme]


def run_colours(colours: Palette, theme: Theme, count: int) -> list[str]:
    """One colour a run: the palette's, or steps of viridis where there are more runs than it has colours."""
    if count <= len(colours.lines):
        return list(islice(cycle(colours.lines), count))
    low, high = (0.0, 0.9) if theme == "light" else (0.25, 1.0)
    return [to_hex(colormaps["viridis"](low + (high - low) * i / (count - 1))) for i in range(count)]


def canvas(width: float, height: float, colours: Palette) -> Figure:
    """An empty figure of that many inches."""
    return Figure(figsize=(width, height), facecolor=colours.paper)


def settings(colours: Palette) -> dict[Any, Any]:
    """Matplotlib's settings for quiet axes: two spines, thin ticks, a horizontal grid behind the data.

    Axes that are born like this are several times as quick as axes that are dressed afterwards, tick by tick.
    """
    ticks = {
        f"{axis}tick.{name}": value
        for axis in "xy"
        for name, value in {
            "color": colours.muted,
            "labelcolor": colours.muted,
            "labelsize": SMALL,
            "major.width": 0.6,
            "minor.width": 0.6,
            "major.size": 3,
            "minor.size": 1.5,
        }.items()
    }
    return ticks | {
        # What users wrote is shown as it is: a dollar sign in a name starts no formula.
        "text.parse_math": False,
        "axes.facecolor": colours.paper,
        "axes.edgecolor": colours.muted,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "grid.color": colours.grid,
        "grid.linewidth": 0.6,
    }


def title(figure: Figure, text: str, left: float, colours: Palette) -> None:
    """What the figure shows, at its upper left; `left` in inches."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - 0.13 / height, text, va="top", color=colours.ink, fontsize=TITLE, fontweight="bold")


def subtitle(figure: Figure, text: str, left: float, down: float, colours: Palette) -> None:
    """What users wrote, `down` inches below the top edge."""
    width, height = figure.get_size_inches()
    figure.text(left / width, 1 - down / height, text, va="top", color=colours.muted, fontsize=LABEL)


def head(axes: Axes, text: str, meaning: str, colours: Palette) -> None:
    """A panel's title, and in small below it what is drawn."""
    for line, up, size, colour, weight in _lines(text, meaning, colours):
        made = axes.annotate(
            line, (0, 1), (0, up), xycoords="axes fraction", textcoords="offset points", color=colour, fontsize=size
        )
        made.set_fontweight(weight)


def head_at(sheet: Axes, x: float, y: float, text: str, meaning: str, colours: Palette) -> None:
    """The same over what lies on a sheet measured in inches, from its upper left corner."""
    for line, up, size, colour, weight in _lines(text, meaning, colours):
        if line:
            sheet.text(x, y + up / 72, line, color=colour, fontsize=size, fontweight=weight)


def _lines(text: str, meaning: str, colours: Palette) -> tuple[tuple[str, float, float, str, str], ...]:
    """The two lines of a head: what, points above the panel, size, colour and weight."""
    return (text, 16, PANEL, colours.ink, "bold"), (meaning, 6, SMALL, colours.muted, "normal")
