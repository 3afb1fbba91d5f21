"""A service in numbers, for whoever watches over it: a few queries that look at indexes alone, or at what runs now."""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ncmix.jobs.database import now
from ncmix.jobs.service_tables import Duty
from ncmix.jobs.states import HELD, State
from ncmix.jobs.tables import Event, Experiment


@dataclass(frozen=True)
class Held:
    """An experiment that a worker has: which attempt it is, how long its lease lasts yet, what it holds of a GPU."""

    queue: str
    worker: str
    attempt: int
    left_seconds: float
    gpu_bytes: int


@dataclass(frozen=True)
class Figures:
    """The service now.

    Attributes:
        experiments: how many there are by state and queue.
        oldest_queued: how long the oldest that waits in a queue has been there, in seconds.
        held: every experiment with a lease.
        duties: how long each duty is held yet, in seconds; below zero nobody has it.
    """

    experiments: dict[tuple[State, str], int]
    oldest_queued: dict[str, float]
    held: list[Held]
    duties: dict[str, float]


@dataclass(frozen=True)
class Happened:
    """Events up to number `last`, counted: by kind, and the bad ends of attempts by their reason."""

    last: int
    kinds: Counter[str]
    deaths: Counter[str]


def figures(session: Session) -> Figures:
    """The service now."""
    by = (Experiment.state, Experiment.queue)
    counted = session.execute(select(*by, func.count()).group_by(*by))
    waiting = select(Experiment.queue, now() - func.min(Experiment.created)).where(Experiment.state == "queued")
    columns = (Experiment.queue, Experiment.worker, Experiment.attempt, Experiment.lease_until - now())
    held = session.execute(select(*columns, Experiment.gpu_bytes).where(Experiment.state.in_(HELD)))
    return Figures(
        experiments={(state, queue): count for state, queue, count in counted},
        oldest_queued=dict(session.execute(waiting.group_by(Experiment.queue)).all()),
        held=[Held(queue, worker or "", attempt, left, size or 0) for queue, worker, attempt, left, size in held],
        duties=dict(session.execute(select(Duty.name, Duty.until - now())).all()),
    )


def newest(session: Session) -> int:
    """The number of the newest event."""
    return session.scalar(select(func.max(Event.id))) or 0


def happened(session: Session, after: int, settle_seconds: float) -> Happened:
    """The events behind number `after`, but not of the last moment: one of a lower number may not be there yet."""
    new = (Event.id > after, Event.at <= now() - settle_seconds)
    reason = Event.data["reason"].as_string()
    last, kinds, deaths = after, Counter[str](), Counter[str]()
    rows = select(Event.kind, reason, func.count(), func.max(Event.id)).where(*new).group_by(Event.kind, reason)
    for kind, why, count, highest in session.execute(rows):
        last = max(last, highest)
        kinds[kind] += count
        if kind in ("requeued", "failed"):
            deaths[why or "error"] += count
    return Happened(last, kinds, deaths)
