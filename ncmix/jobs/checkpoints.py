"""Checkpoints on record: which files an experiment can go on from, and what an attempt drops that goes on from one.

A file is durable before its row is written, and goes only after its row has gone: what has a row can be relied on, and
a file without one is left over.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import and_, delete, func, insert, literal, or_, select
from sqlalchemy.orm import Session

from ncmix.jobs.fencing import add_event, clock, held
from ncmix.jobs.states import Lease
from ncmix.jobs.tables import CheckpointFile, Experiment, FeatureSet, MetricValue


@dataclass(frozen=True)
class File:
    """A checkpoint's file in the folder of its experiment: of the state after `epoch` epochs and `step` batches."""

    name: str
    epoch: int
    step: int
    sha256: str
    size: int


def folder(store: Path, experiment_id: str) -> Path:
    """Where the checkpoints of an experiment lie."""
    return store / experiment_id


def record(session: Session, lease: Lease, file: File, keep: int) -> frozenset[str]:
    """Put a file that is on the disk on record, as the furthest of its experiment.

    Returns:
        The names of the files on record now, at most `keep`: the others may go once this is committed.

    Raises:
        LeaseLostError: the lease is not held any more; nothing was written. So it is with `begin`.
    """
    held(session, lease)
    own = CheckpointFile.experiment_id == lease.experiment_id
    session.execute(
        delete(CheckpointFile).where(own, CheckpointFile.epoch == file.epoch, CheckpointFile.step == file.step)
    )
    session.add(
        CheckpointFile(
            experiment_id=lease.experiment_id,
            epoch=file.epoch,
            step=file.step,
            sha256=file.sha256,
            size=file.size,
            path=f"{lease.experiment_id}/{file.name}",
            created=clock(session),
        )
    )
    session.flush()
    of_experiment = _furthest_first(session, lease.experiment_id)
    for superseded in of_experiment[keep:]:
        session.delete(superseded)
    return frozenset(Path(kept.path).name for kept in of_experiment[:keep])


def usable(session: Session, experiment: Experiment) -> list[CheckpointFile]:
    """What an attempt can go on from, the best first: its own checkpoints, then the last one of the run it extends."""
    own = _furthest_first(session, experiment.id)
    extends = experiment.spec.get("extends")
    if not extends:
        return own
    of_parent = (
        select(CheckpointFile)
        .join(Experiment, Experiment.id == CheckpointFile.experiment_id)
        .where(Experiment.key == extends["key"], CheckpointFile.epoch == extends["epochs"], CheckpointFile.step == 0)
        .order_by(Experiment.repeat.desc())
    )
    return [*own, *session.scalars(of_parent)]


def begin(
    session: Session, lease: Lease, start: CheckpointFile | None, ran_on: Mapping[str, Any] | None = None
) -> frozenset[str]:
    """Let this attempt go on from `start`, or begin anew: whatever is on record of later epochs is dropped.

    `ran_on` are the device and the versions of this attempt, for the record. From a parent's checkpoint it takes over
    the parent's metrics: an extended experiment has them of all its epochs.

    Returns:
        The names of the experiment's own files on record now.
    """
    experiment = held(session, lease)
    own = start is not None and start.experiment_id == experiment.id
    _drop_behind(session, experiment.id, start if own else None)
    if start is not None and not own:
        _take_over(session, experiment.id, start)
    experiment.epoch, experiment.step = (start.epoch, start.step) if start else (0, 0)
    if start is None:
        experiment.steps, experiment.epoch_seconds = 0, None
    experiment.latest = _latest(session, experiment.id)
    data = {"epoch": experiment.epoch, "step": experiment.step, **({"ran_on": dict(ran_on)} if ran_on else {})}
    add_event(session, experiment, "resumed" if start else "started", clock(session), data)
    return frozenset(Path(kept.path).name for kept in _furthest_first(session, experiment.id))


def forget(store: Path, experiment_id: str) -> None:
    """Remove the files of an experiment that has been deleted."""
    shutil.rmtree(folder(store, experiment_id), ignore_errors=True)


def _furthest_first(session: Session, experiment_id: str) -> list[CheckpointFile]:
    order = (CheckpointFile.epoch.desc(), CheckpointFile.step.desc())
    return list(
        session.scalars(select(CheckpointFile).where(CheckpointFile.experiment_id == experiment_id).order_by(*order))
    )


def _drop_behind(session: Session, experiment_id: str, start: CheckpointFile | None) -> None:
    """Everything later than `start`; everything at all without one, epoch 0 included: it will be measured again."""
    epoch, step = (start.epoch, start.step) if start else (-1, 0)
    later = or_(CheckpointFile.epoch > epoch, and_(CheckpointFile.epoch == epoch, CheckpointFile.step > step))
    for table, condition in (
        (MetricValue, MetricValue.epoch > epoch),
        (FeatureSet, or_(FeatureSet.epoch > epoch, FeatureSet.state == "writing")),
        (CheckpointFile, later),
    ):
        session.execute(delete(table).where(table.experiment_id == experiment_id, condition))


def _take_over(session: Session, experiment_id: str, start: CheckpointFile) -> None:
    rest = [column for column in MetricValue.__table__.columns if column.name != "experiment_id"]
    of_parent = select(literal(experiment_id), *rest).where(
        MetricValue.experiment_id == start.experiment_id, MetricValue.epoch <= start.epoch
    )
    session.execute(insert(MetricValue).from_select(["experiment_id", *(c.name for c in rest)], of_parent))


def _latest(session: Session, experiment_id: str) -> dict[str, dict[str, float | None]]:
    """The last value of every metric, by split and name."""
    last = (
        select(MetricValue.split, MetricValue.name, func.max(MetricValue.epoch).label("epoch"))
        .where(MetricValue.experiment_id == experiment_id)
        .group_by(MetricValue.split, MetricValue.name)
        .subquery()
    )
    same = and_(MetricValue.split == last.c.split, MetricValue.name == last.c.name, MetricValue.epoch == last.c.epoch)
    rows = select(MetricValue.split, MetricValue.name, MetricValue.value).join(last, same)
    latest: dict[str, dict[str, float | None]] = {}
    for split, name, value in session.execute(rows.where(MetricValue.experiment_id == experiment_id)):
        latest.setdefault(split, {})[name] = value
    return latest
