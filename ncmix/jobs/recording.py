"""What the holder of a lease puts on record while it runs: progress, epochs and output. Every write is fenced."""

import math
from typing import Any

from sqlalchemy import delete, insert, update
from sqlalchemy.orm import Session

from ncmix.jobs import features
from ncmix.jobs.database import Database, now
from ncmix.jobs.fencing import add_event, clock, held, is_held
from ncmix.jobs.states import Lease, LeaseLostError
from ncmix.jobs.tables import LOG_CHUNK_BYTES, Experiment, FeatureSet, LogChunk, MetricValue
from ncmix.results import Snapshot, Tick

# How much the newest epoch counts in the pace from which the end is foretold.
_NEWEST = 0.25


def progress(session: Session, lease: Lease, tick: Tick, gpu_bytes: int | None = None) -> None:
    """Say how far the epoch under way is, and how much memory of a GPU this process holds.

    Raises:
        LeaseLostError: the lease is not held any more; nothing was written. So it is with every function here.
    """
    done = max(0, tick.epoch - 1)
    changed = session.scalar(
        update(Experiment)
        .where(is_held(lease))
        .values(epoch=done, step=tick.step, steps=tick.steps, progressed=now(), gpu_bytes=gpu_bytes)
        .returning(Experiment.id)
        .execution_options(synchronize_session=False)
    )
    if changed is None:
        raise LeaseLostError(lease)


def record(database: Database, lease: Lease, snapshot: Snapshot) -> None:
    """Put an epoch on record: its arrays in short transactions, then all that makes it visible in a single one."""
    staged = [features.stage(database, lease, snapshot.epoch, kept) for kept in snapshot.sets]
    with database.transaction() as session:
        experiment = held(session, lease)
        _write_metrics(session, lease, snapshot)
        if staged:
            session.execute(update(FeatureSet).where(FeatureSet.id.in_(staged)).values(state="complete"))
        experiment.progressed = at = clock(session)
        _advance(experiment, snapshot)
        add_event(session, experiment, "epoch", at, {"epoch": snapshot.epoch})


def append_log(session: Session, lease: Lease, data: bytes) -> None:
    """Add what the child wrote to the end of the log."""
    end = session.scalar(
        update(Experiment)
        .where(is_held(lease))
        .values(log_bytes=Experiment.log_bytes + len(data))
        .returning(Experiment.log_bytes)
        .execution_options(synchronize_session=False)
    )
    if end is None:
        raise LeaseLostError(lease)
    for at in range(0, len(data), LOG_CHUNK_BYTES):
        piece = data[at : at + LOG_CHUNK_BYTES]
        session.add(LogChunk(experiment_id=lease.experiment_id, start=end - len(data) + at, data=piece))


def _write_metrics(session: Session, lease: Lease, snapshot: Snapshot) -> None:
    # A commit whose answer was lost is made again: the same epoch then replaces itself.
    of_epoch = (MetricValue.experiment_id == lease.experiment_id, MetricValue.epoch == snapshot.epoch)
    session.execute(delete(MetricValue).where(*of_epoch))
    rows = [
        {
            "experiment_id": lease.experiment_id,
            "epoch": snapshot.epoch,
            "split": m.split,
            "name": m.name,
            "value": _finite(m.value),
            "note": m.note,
        }
        for m in snapshot.metrics
    ]
    if rows:
        # Past the ORM, which would look at each of a hundred rows.
        session.connection().execute(insert(MetricValue), rows)


def _advance(experiment: Experiment, snapshot: Snapshot) -> None:
    experiment.epoch, experiment.step = snapshot.epoch, 0
    latest: dict[str, Any] = {split: dict(values) for split, values in experiment.latest.items()}
    for metric in snapshot.metrics:
        latest.setdefault(metric.split, {})[metric.name] = _finite(metric.value)
    experiment.latest = latest
    if snapshot.epoch > 0 and snapshot.seconds > 0:
        before = experiment.epoch_seconds
        pace = snapshot.seconds if before is None else before + _NEWEST * (snapshot.seconds - before)
        experiment.epoch_seconds = pace


def _finite(value: float | None) -> float | None:
    """JSON has no NaN and neither do the columns; a metric says in its note why it is undefined."""
    return value if value is not None and math.isfinite(value) else None
