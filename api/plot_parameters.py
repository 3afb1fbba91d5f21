"""What can be written behind the question mark of the addresses of pictures."""

from dataclasses import replace
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from api.parameters import ID, Epoch, Parameters, SweepWord, checked_id, words
from ncmix.plots import Options, Size, Split, Theme
from ncmix.plots.options import HIGHEST_DPI, LARGEST, LOWEST_DPI, SMALLEST

_MOST_COMPARED = 20
_MOST_GROUPED = 200
# More lines than this nobody tells apart.
MOST_LINES = 48

_Numbers = Annotated[str, Field(pattern=r"^ *\d{1,9} *(, *\d{1,9} *){0,31}$")]
_Inches = Annotated[float, Field(ge=SMALLEST, le=LARGEST)]


class PlotOptions(Parameters):
    """How an experiment is drawn."""

    epoch: Epoch | None = Field(None, description="Its state at this epoch; default: the last.")
    epochs: _Numbers | None = Field(
        None, description="Columns of last-layer-grid, with commas between.", examples=["1,10,100"]
    )
    classes: _Numbers | None = Field(
        None, description="Of the three probed classes those whose mixtures are drawn.", examples=["0,1"]
    )
    split: Split | None = Field(None, description="Of which split, where a plot shows one.")
    theme: Theme = Field("light", description="Dark lines on light paper, or light ones on dark.")
    width: _Inches | None = Field(None, description="Inches; default: what the plot needs.")
    height: _Inches | None = Field(None, description="Inches; default: what the plot needs.")
    dpi: int = Field(
        160, ge=LOWEST_DPI, le=HIGHEST_DPI, description="Dots an inch of PNG, and of bitmaps in SVG and PDF."
    )

    @property
    def size(self) -> Size:
        """How large the picture is."""
        return Size(self.width, self.height, self.dpi)

    @property
    def options(self) -> Options:
        """What is drawn."""
        return Options(self.epoch, _numbers(self.epochs), _numbers(self.classes), self.split)


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(int(word) for word in words(text or ""))


class CompareOptions(PlotOptions):
    """How several experiments are drawn, and which."""

    group_by: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_., ]{1,200}$",
        description="Fields of the spec with commas between: experiments that agree in them become one line, their "
        "mean, with a band of one standard deviation.",
        examples=["mix.kind", "loss.kind,mix.kind"],
    )
    sweep: SweepWord | None = Field(
        None,
        description="Instead of `ids`: what has succeeded of this sweep, grouped by all that varies in it but the seed "
        f"unless group_by says otherwise; up to {MOST_LINES} groups.",
    )
    # Below group_by and sweep, which are looked at to judge it.
    ids: str | None = Field(
        None,
        description=f"Up to {_MOST_COMPARED} ids with commas between; up to {_MOST_GROUPED} that are grouped.",
        # Needed where no sweep is named: OpenAPI has no word for one of two.
        json_schema_extra={"pattern": rf"^{ID.pattern}(,{ID.pattern}){{0,{_MOST_GROUPED - 1}}}$", "x-needed": True},
        examples=["0193b2a4f1c07d1e9a3c,0193b2a4f1c19b22c4d0"],
        validate_default=True,
    )

    @field_validator("ids")
    @classmethod
    def _few(cls, ids: str | None, read: ValidationInfo) -> str | None:
        if (ids is None) == (read.data.get("sweep") is None):
            raise ValueError("experiments are named by ids or by sweep; one of the two is needed")
        if ids is None:
            return None
        count, most = len(words(ids)), _MOST_GROUPED if read.data.get("group_by") else _MOST_COMPARED
        if not 1 <= count <= most:
            raise ValueError(f"{count} experiments are named; allowed are 1 to {most}")
        return ids

    @property
    def options(self) -> Options:
        """What is drawn."""
        return replace(super().options, group_by=tuple(words(self.group_by or "")))

    @property
    def experiments(self) -> list[str]:
        """The ids, each once, in the order written.

        Raises:
            UnknownExperimentError: one of them cannot be an id.
        """
        return [checked_id(word) for word in words(self.ids or "")]
