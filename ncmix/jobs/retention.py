"""What is kept for how long: bulky parts of experiments that ended go when the policy says so, oldest first.

What was asked for and what was measured is kept for ever: spec, state, metrics and events go only with `delete`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from ncmix.jobs import checkpoints, features, idempotency
from ncmix.jobs.database import Database, now
from ncmix.jobs.fencing import add_event, clock
from ncmix.jobs.settings import Keep, Settings
from ncmix.jobs.states import FINAL
from ncmix.jobs.tables import CheckpointFile, Experiment, FeatureSet, LogChunk

_DAY = 86400.0


@dataclass(frozen=True)
class Expired:
    """What went: experiments whose checkpoints and whose logs, and sets of features with their bytes."""

    checkpoints: int = 0
    logs: int = 0
    sets: int = 0
    set_bytes: int = 0


def expire(database: Database, settings: Settings, keep: Keep) -> Expired:
    """Remove what is kept no longer, in a short transaction for each experiment or set: nobody waits for long."""
    with database.transaction() as session:
        idempotency.forget(session)
    with database.reading() as session:
        with_checkpoints = _ended(session, keep.checkpoint_days, select(CheckpointFile.experiment_id))
        with_logs = _ended(session, keep.log_days, select(LogChunk.experiment_id))
        sets = list(_sets(session, keep))
    for experiment in with_checkpoints:
        _drop_checkpoints(database, settings, experiment)
    for experiment in with_logs:
        _drop_log(database, experiment)
    for experiment, of_one in groupby(sets, lambda found: found.experiment_id):
        _drop_sets(database, experiment, list(of_one))
    database.give_back()
    return Expired(len(with_checkpoints), len(with_logs), len(sets), sum(found.size for found in sets))


def _ended(session: Session, days: float | None, ids: Select[str]) -> list[str]:
    """Of these experiments those that ended more than `days` ago, oldest first; None keeps all."""
    if days is None:
        return []
    old = (Experiment.state.in_(FINAL), Experiment.finished < now() - days * _DAY, Experiment.id.in_(ids))
    return list(session.scalars(select(Experiment.id).where(*old).order_by(Experiment.finished)))


@dataclass(frozen=True)
class _Set:
    experiment_id: str
    id: int
    size: int
    folder: str | None


def _sets(session: Session, keep: Keep) -> Iterator[_Set]:
    """Sets that are too old, and the oldest of the others until all that are kept are within their bytes."""
    if keep.feature_days is None and keep.feature_bytes is None:
        return
    total = session.scalar(select(func.coalesce(func.sum(FeatureSet.size), 0))) or 0
    most = total if keep.feature_bytes is None else keep.feature_bytes
    until = -1.0 if keep.feature_days is None else clock(session) - keep.feature_days * _DAY
    columns = (FeatureSet.experiment_id, FeatureSet.id, FeatureSet.size, FeatureSet.folder, Experiment.finished)
    oldest_first = (
        select(*columns)
        .join(Experiment, Experiment.id == FeatureSet.experiment_id)
        .where(Experiment.state.in_(FINAL))
        .order_by(Experiment.finished, FeatureSet.experiment_id, FeatureSet.epoch)
    )
    for experiment_id, set_id, size, folder, finished in session.execute(oldest_first):
        if total <= most and (finished or 0.0) >= until:
            return
        total -= size
        yield _Set(experiment_id, set_id, size, folder)


def _drop_checkpoints(database: Database, settings: Settings, experiment_id: str) -> None:
    with database.transaction() as session:
        session.execute(delete(CheckpointFile).where(CheckpointFile.experiment_id == experiment_id))
        _say(session, experiment_id, "checkpoints")
    # The row first: what has a row can be relied on.
    checkpoints.forget(settings.checkpoint_dir, experiment_id)


def _drop_log(database: Database, experiment_id: str) -> None:
    with database.transaction() as session:
        session.execute(delete(LogChunk).where(LogChunk.experiment_id == experiment_id))
        if (experiment := _say(session, experiment_id, "log")) is not None:
            # So that a reader does not wait for the rest of it.
            experiment.log_bytes = 0


def _drop_sets(database: Database, experiment_id: str, sets: list[_Set]) -> None:
    for dropped in sets:
        with database.transaction() as session:
            session.execute(delete(FeatureSet).where(FeatureSet.id == dropped.id))
            if dropped is sets[-1]:
                _say(session, experiment_id, "features")
        if dropped.folder:
            features.forget(database, dropped.folder)


def _say(session: Session, experiment_id: str, what: str) -> Experiment | None:
    """Put on record that something went, so that pictures of it are drawn anew; None if it was deleted meanwhile."""
    experiment = session.get(Experiment, experiment_id, with_for_update={"key_share": True})
    if experiment is not None:
        add_event(session, experiment, "expired", clock(session), {"what": what})
    return experiment
