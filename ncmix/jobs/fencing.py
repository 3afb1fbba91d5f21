"""What every write shares: the row under lock if the writer still may, the database's clock, and the event."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import Session

from ncmix.jobs.database import now
from ncmix.jobs.states import HELD, Lease, LeaseLostError, UnknownExperimentError
from ncmix.jobs.tables import Event, Experiment


def clock(session: Session) -> float:
    """The database's time, in seconds since 1970."""
    return session.scalars(select(now())).one()


def storable(text: str) -> str:
    """The text without what some database refuses: NUL, and the halves of characters that odd file names bring."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\x00", "\\x00")


def is_held(lease: Lease) -> ColumnElement[bool]:
    """The condition on `experiment` under which the holder of this lease may write."""
    return and_(Experiment.id == lease.experiment_id, Experiment.fence == lease.fence, Experiment.state.in_(HELD))


def held(session: Session, lease: Lease) -> Experiment:
    """The experiment of this lease, locked until the transaction ends.

    Raises:
        LeaseLostError: the lease is no longer the newest, or the experiment has ended.
    """
    # FOR NO KEY UPDATE: the stronger FOR UPDATE would also block whoever inserts a row that refers to this one.
    experiment = session.scalar(select(Experiment).where(is_held(lease)).with_for_update(key_share=True))
    if experiment is None:
        raise LeaseLostError(lease)
    return experiment


def locked(session: Session, experiment_id: str) -> Experiment:
    """The experiment of this id, locked until the transaction ends.

    Raises:
        UnknownExperimentError: there is none.
    """
    experiment = session.get(Experiment, experiment_id, with_for_update={"key_share": True})
    if experiment is None:
        raise UnknownExperimentError(experiment_id)
    return experiment


def locked_all(session: Session, ids: Sequence[str]) -> list[Experiment]:
    """Those of these experiments that are on record, locked until the transaction ends; always in one order."""
    query = select(Experiment).where(Experiment.id.in_(ids)).order_by(Experiment.id)
    return list(session.scalars(query.with_for_update(key_share=True).execution_options(populate_existing=True)))


def add_event(session: Session, experiment: Experiment, kind: str, at: float, data: dict[str, Any]) -> None:
    """Put on record that something happened to an experiment, which now is as it stands."""
    experiment.revision += 1
    event = Event(experiment_id=experiment.id, at=at, kind=kind, state=experiment.state, fence=experiment.fence)
    event.data = data
    session.add(event)
