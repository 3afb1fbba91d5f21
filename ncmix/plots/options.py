"""What can be asked of every plot, and how it is refused."""

from dataclasses import dataclass
from typing import Literal, get_args

from ncmix.errors import NcmixError

Theme = Literal["light", "dark"]
Image = Literal["png", "svg", "pdf"]
Format = Literal["png", "svg", "pdf", "html", "json", "csv"]
Split = Literal["train", "test"]

THEMES: tuple[Theme, ...] = get_args(Theme)
IMAGES: tuple[Image, ...] = get_args(Image)
FORMATS: tuple[Format, ...] = get_args(Format)

# Inches, dots an inch, and dots of a whole bitmap: beyond them a picture serves nobody and takes a server's memory.
SMALLEST, LARGEST = 2.0, 40.0
LOWEST_DPI, HIGHEST_DPI = 40, 600
MOST_DOTS = 40_000_000


class PlotError(NcmixError, ValueError):
    """This cannot be drawn; the message is a sentence with the offending value and what there is."""


class PlotOptionError(PlotError):
    """A plot cannot be asked for like this, whatever the runs hold."""


@dataclass(frozen=True)
class Options:
    """What of the runs is drawn.

    Attributes:
        epoch: their state at this epoch, and of curves all up to it; None for the last.
        epochs: the columns of `last-layer-grid`; none for a choice of all.
        classes: of the probed classes those whose mixtures are drawn; none for all.
        split: which split's, where a plot shows one; None for the plot's own choice.
        group_by: fields of the spec, such as mix.kind: runs that agree in all of them become one line, their mean, with
            a band of ± one standard deviation. None of them: every run by itself.
    """

    epoch: int | None = None
    epochs: tuple[int, ...] = ()
    classes: tuple[int, ...] = ()
    split: Split | None = None
    group_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Size:
    """Width and height in inches, None for what the plot needs; `dpi` is the resolution of bitmaps."""

    width: float | None = None
    height: float | None = None
    dpi: int = 160

    def __post_init__(self) -> None:
        for name, inches in (("width", self.width), ("height", self.height)):
            if inches is not None and not SMALLEST <= inches <= LARGEST:
                raise PlotOptionError(
                    f"{name} {inches:g} is not allowed; it is in inches, {SMALLEST:g} to {LARGEST:g}."
                )
        if not LOWEST_DPI <= self.dpi <= HIGHEST_DPI:
            raise PlotOptionError(f"dpi {self.dpi} is not allowed; allowed are {LOWEST_DPI} to {HIGHEST_DPI}.")
