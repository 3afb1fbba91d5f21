"""What can be written behind the question mark, one model an address; a parameter we do not know is an error."""

import re
from typing import Annotated, Literal

from fastapi import Depends
from fastapi import Path as PathParameter
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    WithJsonSchema,
)
from pydantic.fields import FieldInfo

from ncmix.jobs import following, journal
from ncmix.jobs.queries import Filters
from ncmix.jobs.states import State, UnknownExperimentError
from ncmix.presets import Scale
from ncmix.results import MetricSplit
from ncmix.spec import MOST_EPOCHS, VOCABULARY

# Nothing else can be an id, and the database need not be asked about it.
ID = re.compile(r"[0-9a-f]{20}")
# Whatever else stands there is 404 and not 422: the pattern is for who reads of it.
IdInPath = Annotated[
    str,
    PathParameter(
        description="Twenty hexadecimal digits.",
        examples=["0193b2a4f1c07d1e9a3c"],
        json_schema_extra={"pattern": f"^{ID.pattern}$"},
    ),
]
# More than any log or any number of events, and still a number that databases take.
LARGEST_NUMBER = 2**53


async def _experiment_id(id: IdInPath) -> str:  # noqa: A002 - the word of the address
    journal.note(experiment=(checked := checked_id(id)))
    return checked


def checked_id(text: str) -> str:
    """The id, if it can be one.

    Raises:
        UnknownExperimentError: it cannot.
    """
    if not ID.fullmatch(text):
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

    return AfterValidator(check), Field(description=f"Only those with this {axis}.", json_schema_extra=in_schema)


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Submit(Parameters):
    """How a spec is submitted."""

    rerun: bool = Field(False, description="Run it again even if the same spec has succeeded or is under way.")


class PresetScale(Parameters):
    """At which scale a preset is shown."""

    scale: Scale = Field("full", description="As published, or small: on two CPU cores in minutes.")


class SubmitPreset(Submit, PresetScale):
    """How a preset is submitted, and at which scale."""


Cursor = Annotated[
    str | None,
    Field(
        max_length=200,
        description="`next_cursor` of the page before.",
        json_schema_extra={"pattern": r"^[A-Za-z0-9_-]*$"},
    ),
]
Limit = Annotated[int, Field(ge=1, le=200, description="How many a page has, at most.")]
# What can be an id of a sweep.
SweepWord = Annotated[str, Field(pattern=r"^[0-9a-f]{20}$", examples=["0193b2a4f1c07d1e9a3c"])]


class Listing(Parameters):
    """Which experiments are listed, and in which order."""

    state: State | None = Field(None, description="Only those in this state.")
    dataset: Annotated[str, *_known("dataset")] | None = None
    model: Annotated[str, *_known("model")] | None = None
    loss: Annotated[str, *_known("loss")] | None = None
    mix: Annotated[str, *_known("mix")] | None = None
    tag: str | None = Field(None, pattern=r"^[A-Za-z0-9._:=-]{1,64}$", description="Only those with this tag.")
    sweep: SweepWord | None = Field(None, description="Only cells of this sweep.")
    id: str | None = Field(
        None, pattern=r"^[0-9a-f]{1,20}$", description="The beginning or the end of their ids.", examples=["9a3c"]
    )
    order: Literal["newest", "oldest"] = Field("newest", description="Which come first.")
    cursor: Cursor = None
    limit: Limit = 50

    @property
    def filters(self) -> Filters:
        """The part of it that says which."""
        return Filters(self.state, self.dataset, self.model, self.loss, self.mix, self.tag, self.sweep, self.id)


# Databases take no larger number here than a spec.
Epoch = Annotated[int, Field(ge=0, le=MOST_EPOCHS)]


class MetricFilter(Parameters):
    """Which metrics; several values of one parameter admit each of them."""

    name: list[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,64}$")]] = Field(
        [], description="Only these; several are written one by one.", examples=[["nc1"]]
    )
    split: list[MetricSplit] = Field([], description="Only of these splits.")


class FeatureChoice(Parameters):
    """Which features of a set."""

    epoch: Epoch | None = Field(None, description="Default: the last of which the set was kept.")
    array: str | None = Field(
        None, max_length=64, description="One array; default: all of them, or for npy H.", examples=["H"]
    )
    class_: int | None = Field(
        None, alias="class", ge=0, le=LARGEST_NUMBER, description="Only rows with this label.", examples=[3]
    )
    rows: str | None = Field(
        None,
        pattern=r"^[0-9]{0,15}:[0-9]{0,15}$",
        description="Rows a to b − 1 (of those of the class, if one is named) as a:b.",
        examples=["0:100"],
    )


class LogRange(Parameters):
    """Which bytes of a log."""

    offset: int = Field(0, ge=0, le=LARGEST_NUMBER, description="The header Next-Offset of the answer before.")
    limit: int = Field(2**20, ge=1, le=2**24, description="How many bytes, at most.")


def _place(text: str) -> str:
    following.Cursor.parse(text)
    return text


def _in_schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": ["812.37.10240"]})


# A place in a stream; the pattern bounds its length as well. In a header, where EventSource has it so, empty is none.
Place = Annotated[str, Field(max_length=50), AfterValidator(_place), _in_schema(following.PATTERN)]
PlaceOrNone = Annotated[
    str,
    Field(max_length=50),
    AfterValidator(lambda text: text and _place(text)),
    _in_schema(f"{following.PATTERN}|^$"),
]


class StreamStart(Parameters):
    """Where a stream begins."""

    after: Place = Field(
        str(following.Cursor()),
        description="The id of the last event that was seen; a header Last-Event-ID, as browsers send, comes first.",
    )


class EventRange(Parameters):
    """Which events."""

    after: int = Field(0, ge=0, le=LARGEST_NUMBER, description="`last_id` of the answer before.")
    limit: int = Field(1000, ge=1, le=10_000, description="How many, at most.")


def words(text: str) -> list[str]:
    """The words between commas, each once, in the order written."""
    return list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
