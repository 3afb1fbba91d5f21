"""What is on record, read: one experiment, lists of them, and everything that belongs to one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar, TypeVarTuple

from sqlalchemy import Select, func, or_, select, tuple_
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs import cursors, features
from ncmix.jobs.database import now
from ncmix.jobs.fencing import is_held
from ncmix.jobs.states import Lease, LeaseLostError, State, UnknownExperimentError
from ncmix.jobs.tables import (
    LOG_CHUNK_BYTES,
    Event,
    Experiment,
    ExperimentTag,
    FeatureSet,
    LogChunk,
    MetricValue,
    SweepCell,
)
from ncmix.results import ArraySet, MetricRow, Probe, Run

T = TypeVar("T")
Columns = TypeVarTuple("Columns")


class UnknownSetError(NcmixError, LookupError):
    """No such array set was kept; the message is a sentence."""


@dataclass(frozen=True)
class Filters:
    """Which experiments a list shows; None admits all. `id` is the beginning or the end of theirs."""

    state: State | None = None
    dataset: str | None = None
    model: str | None = None
    loss: str | None = None
    mix: str | None = None
    tag: str | None = None
    sweep: str | None = None
    id: str | None = None


@dataclass(frozen=True)
class Page(Generic[T]):
    """Some experiments, and the cursor of those that follow; None at the end."""

    items: list[T]
    next_cursor: str | None


@dataclass(frozen=True)
class LogPart:
    """Some bytes of a log from `offset` on. Nothing will follow `next_offset` if `ended`: how it went, `state` says."""

    data: bytes
    offset: int
    next_offset: int
    ended: bool
    state: State


def get(session: Session, experiment_id: str) -> Experiment:
    """The experiment of this id.

    Raises:
        UnknownExperimentError: there is none.
    """
    experiment = session.get(Experiment, experiment_id)
    if experiment is None:
        raise UnknownExperimentError(experiment_id)
    return experiment


def require(session: Session, experiment_id: str) -> None:
    """Make sure that there is an experiment of this id.

    Raises:
        UnknownExperimentError: there is none.
    """
    if session.scalar(select(Experiment.id).where(Experiment.id == experiment_id)) is None:
        raise UnknownExperimentError(experiment_id)


def several(session: Session, ids: Sequence[str]) -> list[Experiment]:
    """The experiments of these ids, in this order.

    Raises:
        UnknownExperimentError: there is none of one of the ids.
    """
    found = {e.id: e for e in session.scalars(select(Experiment).where(Experiment.id.in_(ids)))}
    if missing := [i for i in ids if i not in found]:
        raise UnknownExperimentError(missing[0])
    return [found[i] for i in ids]


def versions(session: Session, ids: Sequence[str]) -> list[tuple[str, int]]:
    """The ids with the revisions of their experiments, in this order: what changes when anything shown of them does.

    Raises:
        UnknownExperimentError: there is none of one of the ids.
    """
    found = dict(session.execute(select(Experiment.id, Experiment.revision).where(Experiment.id.in_(ids))).all())
    if missing := [i for i in ids if i not in found]:
        raise UnknownExperimentError(missing[0])
    return [(i, found[i]) for i in ids]


def listing(
    session: Session,
    filters: Filters = Filters(),
    limit: int = 50,
    cursor: str | None = None,
    *,
    oldest_first: bool = False,
) -> Page[Experiment]:
    """Experiments, newest first unless asked otherwise, at most `limit`, going on behind `cursor` of the page before.

    Raises:
        CursorError: the cursor is none of ours.
    """
    query = paged(filtered(select(Experiment), filters), limit, cursor, oldest_first)
    found = list(session.scalars(query))
    return Page(found[:limit], next_cursor(found, limit))


def metrics(
    session: Session, experiment_id: str, names: Sequence[str] = (), splits: Sequence[str] = ()
) -> list[MetricRow]:
    """The metrics of an experiment by epoch, split and name; only these names and splits if any are given."""
    columns = (MetricValue.epoch, MetricValue.split, MetricValue.name, MetricValue.value, MetricValue.note)
    query = select(*columns).where(MetricValue.experiment_id == experiment_id)
    if names:
        query = query.where(MetricValue.name.in_(names))
    if splits:
        query = query.where(MetricValue.split.in_(splits))
    ordered = query.order_by(MetricValue.epoch, MetricValue.split, MetricValue.name)
    return [MetricRow(*row) for row in session.execute(ordered)]


def log(session: Session, experiment_id: str, offset: int = 0, limit: int = 2**20) -> LogPart:
    """At most `limit` bytes of an experiment's log, from byte `offset` on.

    Raises:
        UnknownExperimentError: there is none.
    """
    experiment = get(session, experiment_id)
    query = (
        select(LogChunk.start, LogChunk.data)
        .where(LogChunk.experiment_id == experiment_id, LogChunk.start > offset - LOG_CHUNK_BYTES)
        .where(LogChunk.start < offset + limit)
        .order_by(LogChunk.start)
    )
    pieces = [data[max(0, offset - start) : max(0, offset + limit - start)] for start, data in session.execute(query)]
    data = b"".join(pieces)
    end = offset + len(data)
    ended = experiment.finished is not None and end >= experiment.log_bytes
    return LogPart(data, offset, end, ended, experiment.state)


def events(
    session: Session, experiment_id: str, after: int = 0, limit: int = 1000, without: Sequence[str] = ()
) -> list[Event]:
    """What happened to an experiment behind event number `after`, in order; nothing of the kinds `without`."""
    query = select(Event).where(Event.experiment_id == experiment_id, Event.id > after, Event.kind.not_in(without))
    return list(session.scalars(query.order_by(Event.id).limit(limit)))


def last_event(session: Session, experiment_id: str) -> int:
    """The number of the newest event of an experiment."""
    return session.scalar(select(func.max(Event.id)).where(Event.experiment_id == experiment_id)) or 0


def feature_sets(session: Session, experiment_id: str) -> list[FeatureSet]:
    """The complete array sets of an experiment by epoch and name, without their arrays."""
    query = select(FeatureSet).where(FeatureSet.experiment_id == experiment_id, FeatureSet.state == "complete")
    return list(session.scalars(query.order_by(FeatureSet.epoch, FeatureSet.name)))


def feature_set(session: Session, experiment_id: str, name: str, epoch: int | None) -> FeatureSet:
    """One complete array set without its arrays; the last that was kept if no epoch is named.

    Raises:
        UnknownSetError: none of this name was kept, or not of this epoch.
    """
    named = [s for s in feature_sets(session, experiment_id) if s.name == name]
    if found := [s for s in named if epoch in (None, s.epoch)]:
        return found[-1]
    if named:
        epochs = ", ".join(str(s.epoch) for s in named)
        raise UnknownSetError(f"The set {name!r} was not kept of epoch {epoch}; it was of {epochs}.")
    known = ", ".join(sorted({s.name for s in feature_sets(session, experiment_id)})) or "none yet"
    raise UnknownSetError(f"The experiment has no set {name!r}; there are {known}.")


def array_set(session: Session, experiment_id: str, epoch: int, name: str) -> ArraySet | None:
    """One complete array set with its arrays; None if it was not kept."""
    found = [s for s in feature_sets(session, experiment_id) if (s.epoch, s.name) == (epoch, name)]
    return features.read(session, found[0]) if found else None


def probes(session: Session, experiment_id: str) -> dict[int, Probe]:
    """The mixed geometry probes of an experiment by epoch."""
    sets = [s for s in feature_sets(session, experiment_id) if s.name == "geometry"]
    return {s.epoch: Probe.from_set((kept := features.read(session, s)).arrays, kept.facts) for s in sets}


def run_of(session: Session, experiment_id: str) -> Run:
    """All that plots and tables need of an experiment.

    Raises:
        UnknownExperimentError: there is none.
    """
    experiment = get(session, experiment_id)
    rows = tuple(metrics(session, experiment_id))
    return Run(experiment.title, experiment.spec, rows, probes(session, experiment_id))


def waiting_queues(session: Session, queues: Sequence[str]) -> list[str]:
    """Those of the queues in which an experiment could be claimed now."""
    query = select(Experiment.queue).where(
        Experiment.state == "queued", Experiment.queue.in_(queues), Experiment.not_before <= now()
    )
    return sorted(set(session.scalars(query.distinct())))


def state_under(session: Session, lease: Lease) -> State:
    """The state of the experiment of a lease, for its holder.

    Raises:
        LeaseLostError: it is not held any more.
    """
    state = session.scalar(select(Experiment.state).where(is_held(lease)))
    if state is None:
        raise LeaseLostError(lease)
    return state


def sign_under(session: Session, lease: Lease) -> tuple[State, float | None]:
    """The state of the experiment of a lease, and when its training last gave a sign, for its holder.

    Raises:
        LeaseLostError: it is not held any more.
    """
    found = session.execute(select(Experiment.state, Experiment.progressed).where(is_held(lease))).one_or_none()
    if found is None:
        raise LeaseLostError(lease)
    return found.state, found.progressed


def paged(query: Select[*Columns], limit: int, cursor: str | None, oldest_first: bool) -> Select[*Columns]:
    """A page in order, and one more than `limit`, to know whether more follow."""
    place = tuple_(Experiment.created, Experiment.id)
    if cursor:
        last = tuple_(*cursors.read(cursor))
        query = query.where(place > last if oldest_first else place < last)
    order = (Experiment.created, Experiment.id)
    return query.order_by(*(order if oldest_first else (column.desc() for column in order))).limit(limit + 1)


def next_cursor(found: Sequence[Experiment], limit: int) -> str | None:
    """The cursor of the next page, of rows that `paged` found."""
    return cursors.write(found[limit - 1].created, found[limit - 1].id) if len(found) > limit else None


def filtered(query: Select[*Columns], filters: Filters) -> Select[*Columns]:
    """Only the experiments that these filters admit."""
    for column, wanted in (
        (Experiment.state, filters.state),
        (Experiment.dataset, filters.dataset),
        (Experiment.model, filters.model),
        (Experiment.loss, filters.loss),
        (Experiment.mix, filters.mix),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    if filters.tag is not None:
        tagged = select(ExperimentTag.experiment_id).where(ExperimentTag.tag == filters.tag)
        query = query.where(Experiment.id.in_(tagged))
    if filters.sweep is not None:
        cells = select(SweepCell.experiment_id).where(SweepCell.sweep_id == filters.sweep)
        query = query.where(Experiment.id.in_(cells))
    if filters.id is not None:
        query = query.where(or_(Experiment.id.startswith(filters.id), Experiment.id.endswith(filters.id)))
    return query
