"""What can be asked of every plot, and how it is refused."""

from typing import Literal, get_args

from ncmix.errors import NcmixError

Theme = Literal["light", "dark"]
Format = Literal["png", "svg", "pdf"]

THEMES: tuple[Theme, ...] = get_args(Theme)
FORMATS: tuple[Format, ...] = get_args(Format)


class PlotError(NcmixError, ValueError):
    """This cannot be drawn; the message is a sentence with the offending value and what there is."""
