"""What the service answers, as typed as OpenAPI can say it. Reading is lenient: an old spec is shown as it was."""

from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from ncmix import vocabulary
from ncmix.jobs import tables
from ncmix.jobs.states import State
from ncmix.plots import PLOTS

ROOT = "/api/v1"


class Reason(BaseModel):
    """Why an experiment is in its state: a code for machines and a sentence for people."""

    code: str
    message: str


class Links(BaseModel):
    """Where the parts of an experiment are; `plots` maps each plot to its PNG."""

    self: str
    metrics: str
    features: str
    log: str
    events: str
    stream: str
    plots: dict[str, str]


class Experiment(BaseModel):
    """One experiment: what was asked for, how far it is, and the last value of everything measured.

    `epoch` counts the epochs done, `step` of `steps` the batches of the one under way; `progress` is their share of
    the whole, 0 to 1. `latest` holds the newest metrics by split; null is undefined.
    """

    id: str
    title: str
    state: State
    queue: str
    spec: dict[str, Any]
    key: str = Field(description="SHA-256 of the science in the spec; the same for every repetition")
    parent: str | None = Field(
        description="The experiment that was retried or extended to make this one; it may be deleted"
    )
    tags: list[str]
    priority: int
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int
    epoch: int
    epochs: int
    step: int
    steps: int
    progress: float
    eta_seconds: float | None
    latest: dict[str, dict[str, float | None]]
    reason: Reason | None
    links: Links

    @classmethod
    def of(cls, row: tables.Experiment) -> "Experiment":
        """The row as it is shown."""
        tags = row.spec.get("tags", [])
        return cls(spec=row.spec, latest=row.latest, links=links(row.id), **facts(row, tags))


def facts(row: tables.Experiment, tags: list[str]) -> dict[str, Any]:
    """All of an `Experiment` but spec, latest values and links."""
    code, message = row.reason_code, row.reason_message
    return {
        "id": row.id,
        "title": row.title,
        "state": row.state,
        "queue": row.queue,
        "key": row.key,
        "parent": row.parent_id,
        "tags": tags,
        "priority": row.priority,
        "created_at": instant(row.created),
        "started_at": None if row.started is None else instant(row.started),
        "finished_at": None if row.finished is None else instant(row.finished),
        "attempt": row.attempt,
        "epoch": row.epoch,
        "epochs": row.epochs,
        "step": row.step,
        "steps": row.steps,
        "progress": row.progress,
        "eta_seconds": row.eta_seconds,
        "reason": None if code is None else Reason(code=code, message=message or ""),
    }


class Experiments(BaseModel):
    """Some experiments. Where more follow, `next_cursor` asks for them; the header Link has the whole address."""

    items: list[Experiment]
    next_cursor: str | None


class SubmittedPreset(BaseModel):
    """The experiments of a preset, in its order."""

    items: list[Experiment]


class MetricValue(BaseModel):
    """One number of one epoch; null is undefined, and `note` says why."""

    epoch: int
    split: str
    name: str
    value: float | None
    note: str


class Metrics(BaseModel):
    """Metrics by epoch, split and name."""

    items: list[MetricValue]


class Event(BaseModel):
    """Something that happened to an experiment, and the state it was in afterwards."""

    id: int
    at: datetime
    kind: str
    state: State
    data: dict[str, Any]


class Events(BaseModel):
    """Events in order; `last_id` asks for those that follow these."""

    items: list[Event]
    last_id: int


class NewMetrics(BaseModel):
    """Of a stream: metrics of epochs that are new. Whatever a reader has of epochs later than `epoch` is void: then an
    attempt has gone on from an earlier checkpoint.
    """

    epoch: int
    items: list[MetricValue]


class NewOutput(BaseModel):
    """Of a stream: what the log has from byte `offset` on."""

    offset: int
    text: str


class End(BaseModel):
    """The last of a stream: the final state, `succeeded` or not, and why; `deleted` if the experiment is gone."""

    state: State | Literal["deleted"]
    reason: Reason | None


class PlotLinks(BaseModel):
    """A plot: its address in each format, and the epochs it can be had of, where not every epoch will do.

    json and csv are the numbers that are drawn.
    """

    name: str
    title: str
    files: dict[str, str]
    epochs: list[int] | None


class Plots(BaseModel):
    """The plots of an experiment."""

    items: list[PlotLinks]


class PlotData(BaseModel):
    """What a plot shows, as numbers: `data` is a table by columns of equal length; null is undefined.

    Of lines the columns are panel, group, style, x, y, std and runs; of heat maps panel, group, row, column, value and
    runs; of mixtures panel, group, epoch, style, x, y, lam, first and second.
    """

    plot: str
    title: str
    note: str
    groups: list[str]
    panels: list[dict[str, Any]]
    styles: dict[str, str]
    data: dict[str, list[Any]]


class Vocabulary(vocabulary.Vocabulary):
    """Everything that can be asked for here, and what the answers mean."""

    image_folders: list[str]
    states: list[State]


class Presets(BaseModel):
    """The presets there are."""

    items: list[vocabulary.PresetView]


class Health(BaseModel):
    """The process answers."""

    status: Literal["ok"] = "ok"


class Readiness(BaseModel):
    """The process can do its work: the database answers and has the schema this program knows.

    Without the broker it is degraded: everything works, but a worker finds what is submitted only by its poll.
    """

    status: Literal["ready", "degraded"]
    broker: Literal["answers", "does not answer"]
    schema_revision: str


def instant(seconds: float) -> datetime:
    """Seconds since 1970 as a moment in UTC, to the millisecond."""
    return datetime.fromtimestamp(round(seconds, 3), UTC)


def links(experiment_id: str) -> Links:
    """The addresses of an experiment's parts."""
    here = f"{ROOT}/experiments/{experiment_id}"
    plots = {name: f"{here}/plots/{name}.png" for name in PLOTS}
    parts = {name: f"{here}/{name}" for name in ("metrics", "features", "log", "events", "stream")}
    return Links(self=here, **parts, plots=plots)
