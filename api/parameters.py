"""What can be written behind the question mark, one model an address; a parameter we do not know is an error."""

import re
from dataclasses import replace
from typing import Annotated, Literal

from fastapi import Depends
from fastapi import Path as PathParameter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from ncmix.jobs.queries import Filters
from ncmix.jobs.states import State, UnknownExperimentError
from ncmix.plots import Options, Size, Split, Theme
from ncmix.plots.options import HIGHEST_DPI, LARGEST, LOWEST_DPI, SMALLEST
from ncmix.presets import Scale
from ncmix.results import MetricSplit
from ncmix.spec import VOCABULARY

# Nothing else can be an id, and the database need not be asked about it.
_ID = re.compile(r"[0-9a-f]{20}")
_MOST_COMPARED = 20
_MOST_GROUPED = 200
# More than any log or any number of epochs, and still a number that databases take.
_LARGEST = 2**53


async def _experiment_id(id: Annotated[str, PathParameter(examples=["0193b2a4f1c07d1e9a3c"])]) -> str:  # noqa: A002
    return checked_id(id)


def checked_id(text: str) -> str:
    """The id, if it can be one.

    Raises:
        UnknownExperimentError: it cannot.
    """
    if not _ID.fullmatch(text):
        raise UnknownExperimentError(text)
    return text


# The id in the path, as a parameter of an endpoint.
ExperimentId = Annotated[str, Depends(_experiment_id)]


def _known(axis: str) -> tuple[AfterValidator, FieldInfo]:
    """What makes a string one of the kinds of an axis of the spec."""
    allowed = list(VOCABULARY[axis])
    in_schema: dict[str, JsonValue] = {"enum": [*allowed]}

    def check(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"{value!r} is not known; allowed are {', '.join(allowed)}")
        return value

    return AfterValidator(check), Field(json_schema_extra=in_schema)


class _Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Submit(_Parameters):
    """How a spec is submitted."""

    rerun: bool = Field(False, description="Run it again even if the same spec has succeeded or is under way.")


class PresetScale(_Parameters):
    """At which scale a preset is shown."""

    scale: Scale = Field("full", description="As published, or small: on two CPU cores in minutes.")


class SubmitPreset(Submit, PresetScale):
    """How a preset is submitted, and at which scale."""


class Listing(_Parameters):
    """Which experiments are listed, and in which order."""

    state: State | None = None
    dataset: Annotated[str, *_known("dataset")] | None = None
    model: Annotated[str, *_known("model")] | None = None
    loss: Annotated[str, *_known("loss")] | None = None
    mix: Annotated[str, *_known("mix")] | None = None
    tag: str | None = Field(None, pattern=r"^[A-Za-z0-9._:=-]{1,64}$")
    order: Literal["newest", "oldest"] = "newest"
    cursor: str | None = Field(None, max_length=200, description="`next_cursor` of the page before.")
    limit: int = Field(50, ge=1, le=200)

    @property
    def filters(self) -> Filters:
        """The part of it that says which."""
        return Filters(self.state, self.dataset, self.model, self.loss, self.mix, self.tag)


class MetricFilter(_Parameters):
    """Which metrics; several values of one parameter admit each of them."""

    name: list[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]] = Field([], examples=[["nc1"]])
    split: list[MetricSplit] = []


class FeatureChoice(_Parameters):
    """Which features of a set."""

    epoch: int | None = Field(None, ge=0, le=_LARGEST, description="Default: the last of which the set was kept.")
    array: str | None = Field(
        None, max_length=64, description="One array; default: all of them, or for npy H.", examples=["H"]
    )
    class_: int | None = Field(
        None, alias="class", ge=0, le=_LARGEST, description="Only rows with this label.", examples=[3]
    )
    rows: str | None = Field(
        None,
        pattern=r"^[0-9]{0,15}:[0-9]{0,15}$",
        description="Rows a to b − 1 (of those of the class, if one is named) as a:b.",
        examples=["0:100"],
    )


class LogRange(_Parameters):
    """Which bytes of a log."""

    offset: int = Field(0, ge=0, le=_LARGEST, description="The header Next-Offset of the answer before.")
    limit: int = Field(2**20, ge=1, le=2**24)


class EventRange(_Parameters):
    """Which events."""

    after: int = Field(0, ge=0, le=_LARGEST, description="`last_id` of the answer before.")
    limit: int = Field(1000, ge=1, le=10_000)


def _words(text: str) -> list[str]:
    """The words between commas, each once, in the order written."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))


_Numbers = Annotated[str, Field(pattern=r"^ *\d{1,9} *(, *\d{1,9} *){0,31}$")]
_Inches = Annotated[float, Field(ge=SMALLEST, le=LARGEST)]


class PlotOptions(_Parameters):
    """How an experiment is drawn."""

    epoch: int | None = Field(None, ge=0, le=_LARGEST, description="Its state at this epoch; default: the last.")
    epochs: _Numbers | None = Field(
        None, description="Columns of last-layer-grid, with commas between.", examples=["1,10,100"]
    )
    classes: _Numbers | None = Field(
        None, description="Of the three probed classes those whose mixtures are drawn.", examples=["0,1"]
    )
    split: Split | None = Field(None, description="Of which split, where a plot shows one.")
    theme: Theme = "light"
    width: _Inches | None = Field(None, description="Inches; default: what the plot needs.")
    height: _Inches | None = Field(None, description="Inches; default: what the plot needs.")
    dpi: int = Field(160, ge=LOWEST_DPI, le=HIGHEST_DPI, description="Dots an inch of PNG.")

    @property
    def size(self) -> Size:
        """How large the picture is."""
        return Size(self.width, self.height, self.dpi)

    @property
    def options(self) -> Options:
        """What is drawn."""
        return Options(self.epoch, _numbers(self.epochs), _numbers(self.classes), self.split)


def _numbers(text: str | None) -> tuple[int, ...]:
    return tuple(int(word) for word in _words(text or ""))


class CompareOptions(PlotOptions):
    """How several experiments are drawn, and which."""

    group_by: str | None = Field(
        None,
        pattern=r"^[A-Za-z0-9_., ]{1,200}$",
        description="Fields of the spec with commas between: experiments that agree in them become one line, their "
        "mean, with a band of one standard deviation.",
        examples=["mix.kind", "loss.kind,mix.kind"],
    )
    # Below group_by, which is looked at to judge it.
    ids: str = Field(
        description=f"Up to {_MOST_COMPARED} ids with commas between; up to {_MOST_GROUPED} that are grouped.",
        examples=["0193b2a4f1c07d1e9a3c,0193b2a4f1c19b22c4d0"],
    )

    @field_validator("ids")
    @classmethod
    def _few(cls, ids: str, read: ValidationInfo) -> str:
        count, most = len(_words(ids)), _MOST_GROUPED if read.data.get("group_by") else _MOST_COMPARED
        if not 1 <= count <= most:
            raise ValueError(f"{count} experiments are named; allowed are 1 to {most}")
        return ids

    @property
    def options(self) -> Options:
        """What is drawn."""
        return replace(super().options, group_by=tuple(_words(self.group_by or "")))

    @property
    def experiments(self) -> list[str]:
        """The ids, each once, in the order written.

        Raises:
            UnknownExperimentError: one of them cannot be an id.
        """
        return [checked_id(word) for word in _words(self.ids)]
