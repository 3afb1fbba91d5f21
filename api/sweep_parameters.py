"""What can be written behind the question mark of the addresses of sweeps."""

from typing import Annotated

from fastapi import Depends
from pydantic import Field, ValidationInfo, field_validator

from api.parameters import ID, Cursor, Epoch, IdInPath, Limit, Parameters, words
from ncmix.jobs.sweeps import UnknownSweepError
from ncmix.plots import Split


async def _sweep_id(id: IdInPath) -> str:  # noqa: A002 - the word of the address
    if not ID.fullmatch(id):
        raise UnknownSweepError(id)
    return id


# The id in the path, as a parameter of an endpoint.
SweepId = Annotated[str, Depends(_sweep_id)]


class SubmitSweep(Parameters):
    """How a sweep is submitted."""

    dry_run: bool = Field(False, description="Judge it and say what it would take; queue nothing.")


class SweepListing(Parameters):
    """Which sweeps are listed."""

    cursor: Cursor = None
    limit: Limit = 50


class DeleteSweep(Parameters):
    """What is deleted with a sweep."""

    experiments: bool = Field(
        False, description="Also those that were made for a sweep and are in no other one, with all recorded of them."
    )


_Field = Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_0-9]+)*$", max_length=200)]


class SweepTableOptions(Parameters):
    """What a table of a sweep shows."""

    metrics: str = Field(
        "accuracy,loss,nc1,nc2_angle_means,nc3,nc4",
        pattern=r"^[a-z0-9_, ]{1,1000}$",
        description="Names with commas between.",
        examples=["accuracy,nc1"],
    )
    split: list[Split] = Field([], description="Whose; default: train and test. In a matrix the first.")
    epoch: Epoch | None = Field(
        None,
        description="Of every cell that has recorded it; default: the last epoch of each that has succeeded.",
    )
    rows: _Field | None = Field(None, description="Field of the rows of a matrix.", examples=["loss.kind"])
    columns: _Field | None = Field(
        None,
        description="Field of its columns; with `rows`, cells that agree in both are one group.",
        examples=["mix.kind"],
        validate_default=True,
    )
    metric: str | None = Field(
        None, pattern=r"^[a-z0-9_]{1,64}$", description="The metric of the matrix; default: the first of `metrics`."
    )

    @field_validator("columns")
    @classmethod
    def _both(cls, columns: str | None, read: ValidationInfo) -> str | None:
        if (columns is None) != (read.data.get("rows") is None):
            raise ValueError("a matrix needs rows and columns; only one of them is given")
        return columns

    @property
    def names(self) -> list[str]:
        """The metrics."""
        return [self.metric] if self.metric else words(self.metrics)

    @property
    def splits(self) -> list[Split]:
        """The splits, each once."""
        return list(dict.fromkeys(self.split)) or ["train", "test"]

    @property
    def by(self) -> list[str] | None:
        """The fields of the matrix; None for a table."""
        return list(dict.fromkeys((self.rows, self.columns))) if self.rows and self.columns else None
