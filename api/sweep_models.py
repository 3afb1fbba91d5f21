"""What the service answers of sweeps."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, Field

from api.models import ROOT, instant
from ncmix.jobs import tables
from ncmix.jobs.estimates import Estimate
from ncmix.jobs.progress import CellState, Progress
from ncmix.jobs.sweep_tables import Group, Statistic, Table
from ncmix.plots import PLOTS
from ncmix.spec import Problem, written


class SweepLinks(BaseModel):
    """Where the parts of a sweep are; `plots` maps each plot to the PNG of what has succeeded so far."""

    self: str
    table: str
    csv: str
    experiments: str
    plots: dict[str, str]


class SweepRecord(BaseModel):
    """A sweep: its definition, how many of its cells are in each state, and how far it is.

    A cell whose experiment was deleted is `missing`. `progress` is the share of all epochs that is done, 0 to 1, and
    `eta_seconds` how long the rest takes if as many run at once as do now.
    """

    id: str
    name: str
    tags: list[str]
    created_at: datetime
    cancelled_at: datetime | None
    cells: int
    states: dict[CellState, int]
    progress: float
    eta_seconds: float | None
    definition: dict[str, Any]
    links: SweepLinks

    @classmethod
    def of(cls, row: tables.Sweep, progress: Progress, **more: int) -> Self:
        """The row as it is shown."""
        return cls(
            id=row.id,
            name=row.name,
            tags=row.definition.get("tags", []),
            created_at=instant(row.created),
            cancelled_at=None if row.cancelled is None else instant(row.cancelled),
            cells=sum(progress.states.values()),
            states=progress.states,
            progress=progress.progress,
            eta_seconds=progress.eta_seconds,
            definition=row.definition,
            links=links(row.id),
            **more,
        )


class SweepRecords(BaseModel):
    """Some sweeps. Where more follow, `next_cursor` asks for them; the header Link has the whole address."""

    items: list[SweepRecord]
    next_cursor: str | None


class SweepSubmitted(SweepRecord):
    """A sweep all of whose cells are on record: `made` of them just now; `shared` ones had to be filled, and were by
    experiments that were there before.
    """

    made: int
    shared: int


class SweepEstimate(BaseModel):
    """What the new experiments will take together; where a number is null its reason says why.

    `seconds` of training one after the other, and `checkpoint_bytes`, as finished runs of the same data set and model
    took on average; `feature_bytes` as the specs say.
    """

    seconds: float | None
    seconds_reason: str | None
    feature_bytes: int | None
    feature_bytes_reason: str | None
    checkpoint_bytes: int | None
    checkpoint_bytes_reason: str | None

    @classmethod
    def of(cls, estimate: Estimate) -> "SweepEstimate":
        """The estimate as it is shown."""
        return cls(**vars(estimate))


class LeftOut(BaseModel):
    """Cells that make no spec: where in the definition, and a sentence that names them."""

    pointer: str
    detail: str


class SweepPlan(BaseModel):
    """What posting a sweep would do: `made` experiments are new, `shared` ones there are already. Nothing is queued."""

    cells: int
    made: int
    shared: int
    excluded: int = Field(description="Combinations that `exclude` leaves out")
    invalid: list[LeftOut] = Field(description="What `skip_invalid` leaves out")
    fields: list[str] = Field(description="What tells the cells apart, but for the seed")
    estimate: SweepEstimate


def left_out(problems: Sequence[Problem]) -> list[LeftOut]:
    """Problems as they are shown."""
    return [LeftOut(pointer=p.pointer, detail=p.message) for p in problems]


class SweepStatistic(BaseModel):
    """Of `n` cells that have a value the mean, and the unbiased standard deviation (ddof = 1) if there are two."""

    n: int
    mean: float | None
    std: float | None

    @classmethod
    def of(cls, statistic: Statistic) -> "SweepStatistic":
        """The statistic as it is shown."""
        return cls(n=statistic.n, mean=statistic.mean, std=statistic.std)


class SweepGroup(BaseModel):
    """Cells that agree in the fields of the table; `metrics` by split and name."""

    fields: dict[str, Any]
    cells: int
    succeeded: int
    metrics: dict[str, dict[str, SweepStatistic]]

    @classmethod
    def of(cls, group: Group) -> "SweepGroup":
        """The group as it is shown."""
        metrics = {
            split: {name: SweepStatistic.of(statistic) for name, statistic in named.items()}
            for split, named in group.metrics.items()
        }
        return cls(fields=group.fields, cells=group.cells, succeeded=group.succeeded, metrics=metrics)


class SweepMatrix(BaseModel):
    """One metric by two fields: `values[i][j]` is that of the i-th row and the j-th column, null where no cell is."""

    metric: str
    split: Literal["train", "test"]
    rows: list[Any]
    columns: list[Any]
    values: list[list[SweepStatistic | None]]

    @classmethod
    def of(cls, table: Table, metric: str, split: Literal["train", "test"]) -> "SweepMatrix":
        """A table of two fields, or twice the same one, as a matrix."""
        first, second = table.fields[0], table.fields[-1]
        rows, columns = ({written(g.fields[f]): g.fields[f] for g in table.groups} for f in (first, second))
        found = {(written(g.fields[first]), written(g.fields[second])): g.metrics[split][metric] for g in table.groups}
        values = [
            [SweepStatistic.of(found[r, c]) if (r, c) in found else None for c in columns] for r in rows
        ]  # fmt: skip
        return cls(
            metric=metric, split=split, rows=list(rows.values()), columns=list(columns.values()), values=values
        )  # fmt: skip


class SweepTable(BaseModel):
    """A sweep's cells in groups that agree in `fields`, in the order of their first cells; the matrix if two axes were
    asked for.
    """

    fields: list[str]
    items: list[SweepGroup]
    matrix: SweepMatrix | None


def links(sweep_id: str) -> SweepLinks:
    """The addresses of a sweep's parts."""
    here = f"{ROOT}/sweeps/{sweep_id}"
    plots = {name: f"{ROOT}/compare/plots/{name}.png?sweep={sweep_id}" for name in PLOTS}
    experiments = f"{ROOT}/experiments?sweep={sweep_id}"
    return SweepLinks(self=here, table=f"{here}/table", csv=f"{here}/table.csv", experiments=experiments, plots=plots)
