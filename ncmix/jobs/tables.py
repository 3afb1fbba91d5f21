"""What is on record: one class a table, the same on SQLite and PostgreSQL.

Instants are seconds since 1970 (UTC) by the database's own clock, durations are seconds.
"""

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from ncmix.jobs.states import STATES, State

ExperimentId = String(20)
SweepId = String(20)
# Readers of a log rely on it to find the piece in which an offset lies.
LOG_CHUNK_BYTES = 64 * 2**10
# SQLite numbers rows by itself only in a column of type INTEGER.
RowId = BigInteger().with_variant(Integer, "sqlite")


class Base(DeclarativeBase):
    """The schema; constraints have predictable names, so that a migration can drop them."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {float: Double, dict[str, Any]: JSON, bytes: LargeBinary}  # noqa: RUF012 - SQLAlchemy's way


class Experiment(Base):
    """One spec to be run, how far it is and what came last: all that a list shows.

    `epoch` counts the epochs done, `step` of `steps` the batches of the one under way; `progressed` is when the
    training last gave a sign of life, `gpu_bytes` what it then held of a GPU's memory. `attempt` counts the starts
    that are charged, `fence` all starts: the token without which nothing can be written. `log_bytes` is the length of
    the log, `revision` grows with every change that a reader could see in metrics, features or state. `parent_id` names
    the experiment that was retried or extended to make this one, also when that is gone; `feature_bytes` were expected.
    """

    __tablename__ = "experiment"
    __table_args__ = (
        UniqueConstraint("key", "repeat"),
        CheckConstraint(f"state IN ({', '.join(map(repr, STATES))})", name="state"),
        Index("ix_experiment_created_id", "created", "id"),
        Index("ix_experiment_state_created_id", "state", "created", "id"),
        # Counts, and the sum of what is expected, are taken of the index alone.
        Index("ix_experiment_state_queue", "state", "queue", "feature_bytes"),
        # What a claim looks through: only what is queued, however long the history.
        Index(
            "ix_experiment_queued",
            "queue",
            "priority",
            "created",
            "id",
            sqlite_where=text("state = 'queued'"),
            postgresql_where=text("state = 'queued'"),
        ),
    )

    id: Mapped[str] = mapped_column(ExperimentId, primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
    repeat: Mapped[int]
    parent_id: Mapped[str | None] = mapped_column(ExperimentId)
    title: Mapped[str] = mapped_column(String(300))
    spec: Mapped[dict[str, Any]]
    dataset: Mapped[str] = mapped_column(String(64))
    model: Mapped[str] = mapped_column(String(64))
    loss: Mapped[str] = mapped_column(String(64))
    mix: Mapped[str] = mapped_column(String(64))

    state: Mapped[State] = mapped_column(String(16))
    queue: Mapped[str] = mapped_column(String(16))
    priority: Mapped[int]
    devices: Mapped[int] = mapped_column(default=1)
    created: Mapped[float]
    not_before: Mapped[float]
    started: Mapped[float | None]
    finished: Mapped[float | None]
    attempt: Mapped[int] = mapped_column(default=0)
    fence: Mapped[int] = mapped_column(default=0)
    lease_until: Mapped[float | None]
    worker: Mapped[str | None] = mapped_column(String(200))
    reason_code: Mapped[str | None] = mapped_column(String(32))
    reason_message: Mapped[str | None] = mapped_column(Text)

    epoch: Mapped[int] = mapped_column(default=0)
    epochs: Mapped[int]
    step: Mapped[int] = mapped_column(default=0)
    steps: Mapped[int] = mapped_column(default=0)
    progressed: Mapped[float | None]
    gpu_bytes: Mapped[int | None] = mapped_column(BigInteger)
    epoch_seconds: Mapped[float | None]
    latest: Mapped[dict[str, Any]] = mapped_column(default=dict)
    log_bytes: Mapped[int] = mapped_column(BigInteger, default=0)
    revision: Mapped[int] = mapped_column(default=0)
    feature_bytes: Mapped[int] = mapped_column(BigInteger, default=0, server_default="0")

    @property
    def progress(self) -> float:
        """The share of the training that is done, 0 to 1."""
        if self.state == "succeeded":
            return 1.0
        return min(1.0, (self.epoch + (self.step / self.steps if self.steps else 0.0)) / self.epochs)

    @property
    def eta_seconds(self) -> float | None:
        """How long the rest will take at the pace so far; None unless it runs and has done an epoch."""
        if self.state != "running" or self.epoch_seconds is None:
            return None
        return (1.0 - self.progress) * self.epochs * self.epoch_seconds


class ExperimentTag(Base):
    """A word by which experiments are found."""

    __tablename__ = "experiment_tag"
    __table_args__ = (Index("ix_experiment_tag_tag", "tag", "experiment_id"),)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"), primary_key=True)
    tag: Mapped[str] = mapped_column(String(64), primary_key=True)


class MetricValue(Base):
    """One number of one epoch. A new metric is a new name, never a new column."""

    __tablename__ = "metric"
    # The key holds nearly all of the row: in SQLite the table is its own index.
    __table_args__ = ({"sqlite_with_rowid": False},)

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    split: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[float | None]
    note: Mapped[str] = mapped_column(Text, default="")


class MetricCurve(Base):
    """A metric of an experiment that is over, all of its epochs in one row: what plots read in place of its rows.

    `epochs` are int32, `values` float64, NaN where undefined; little endian, by epoch. All curves of an experiment are
    there or none.
    """

    __tablename__ = "metric_curve"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"), primary_key=True)
    split: Mapped[str] = mapped_column(String(16), primary_key=True)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    epochs: Mapped[bytes]
    values: Mapped[bytes]


class FeatureSet(Base):
    """Arrays with one row a sample, kept of one epoch; to be read once `state` is complete.

    `columns` maps the name of each array to its dtype, shape and sha256 (of its bytes, C order, little endian). The
    bytes are in its chunks, or, if it has a `folder`, in objects under that name in the object store.
    """

    __tablename__ = "feature_set"
    __table_args__ = (
        UniqueConstraint("experiment_id", "epoch", "name"),
        CheckConstraint("state IN ('writing', 'complete')", name="state"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"))
    epoch: Mapped[int]
    name: Mapped[str] = mapped_column(String(64))
    state: Mapped[str] = mapped_column(String(16))
    rows: Mapped[int]
    size: Mapped[int] = mapped_column(BigInteger)
    columns: Mapped[dict[str, Any]]
    facts: Mapped[dict[str, Any]]
    folder: Mapped[str | None] = mapped_column(String(64))


class FeatureChunk(Base):
    """Some rows of one array, at most 4 MiB unless a single row is larger; without `data` if the set has a folder."""

    __tablename__ = "feature_chunk"

    set_id: Mapped[int] = mapped_column(RowId, ForeignKey("feature_set.id", ondelete="CASCADE"), primary_key=True)
    array: Mapped[str] = mapped_column(String(64), primary_key=True)
    first_row: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    rows: Mapped[int]
    data: Mapped[bytes]
    sha256: Mapped[str | None] = mapped_column(String(64))


class CheckpointFile(Base):
    """A checkpoint that is on the disk: of the state after `epoch` epochs and `step` batches of the next.

    `path` is relative to the store, NCMIX_CHECKPOINT_DIR, `size` in bytes; both and `sha256` are those of the file.
    """

    __tablename__ = "checkpoint"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"), primary_key=True)
    epoch: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    sha256: Mapped[str] = mapped_column(String(64))
    size: Mapped[int] = mapped_column(BigInteger)
    path: Mapped[str] = mapped_column(String(255))
    created: Mapped[float]


class Sweep(Base):
    """Experiments that belong together: cells made from one definition, which is kept as it was posted.

    `key` is the same for every definition of the same cells, `cancelled` when it was last asked to end, if it has not
    been asked to go on since.
    """

    __tablename__ = "sweep"
    __table_args__ = (UniqueConstraint("key"), Index("ix_sweep_created_id", "created", "id"))

    id: Mapped[str] = mapped_column(SweepId, primary_key=True)
    key: Mapped[str] = mapped_column(String(64))
    name: Mapped[str] = mapped_column(String(200))
    definition: Mapped[dict[str, Any]]
    created: Mapped[float]
    cancelled: Mapped[float | None]


class SweepCell(Base):
    """A place in a sweep: its coordinates, and the experiment that is there; none if that was deleted.

    `key` is its spec's. An experiment can be in several sweeps; `made` where it was made for this one, and did not
    stand on record before.
    """

    __tablename__ = "sweep_cell"
    __table_args__ = (Index("ix_sweep_cell_experiment_id", "experiment_id"), Index("ix_sweep_cell_key", "key"))

    sweep_id: Mapped[str] = mapped_column(ForeignKey("sweep.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    key: Mapped[str] = mapped_column(String(64))
    experiment_id: Mapped[str | None] = mapped_column(ForeignKey("experiment.id", ondelete="SET NULL"))
    made: Mapped[bool]
    coordinates: Mapped[dict[str, Any]]


class Event(Base):
    """Something that happened to an experiment, and the state it was in afterwards. Never changed, only added."""

    __tablename__ = "event"
    __table_args__ = (Index("ix_event_experiment_id", "experiment_id", "id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(RowId, primary_key=True)
    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"))
    at: Mapped[float]
    kind: Mapped[str] = mapped_column(String(32))
    state: Mapped[State] = mapped_column(String(16))
    fence: Mapped[int]
    data: Mapped[dict[str, Any]]


class LogChunk(Base):
    """At most LOG_CHUNK_BYTES of what the child wrote to standard output and error, at their place in the log."""

    __tablename__ = "log_chunk"

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    data: Mapped[bytes]
