"""An exported experiment put on record: as if a worker held it, and had its results from a file.

While it is written it is running, under a lease; if that process dies, it fails as any other whose worker is lost, and
can be imported again. Only at the end it becomes what it was.
"""

from dataclasses import dataclass
from typing import IO

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.orm import Session

from ncmix.jobs import curves, features, lifecycle, room
from ncmix.jobs.database import Database, now
from ncmix.jobs.fencing import held
from ncmix.jobs.parcel import Parcel, opened
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import HELD, Lease, NotAllowedError
from ncmix.jobs.tables import (
    LOG_CHUNK_BYTES,
    Event,
    Experiment,
    ExperimentTag,
    FeatureSet,
    LogChunk,
    MetricValue,
)

WORKER = "import"


@dataclass(frozen=True)
class Imported:
    """The experiment of a file, and whether it was put on record just now."""

    experiment_id: str
    created: bool


def import_zip(database: Database, settings: Settings, file: IO[bytes]) -> Imported:
    """Put the experiment in an exported file on record; if it is there already, that one is left as it is.

    Raises:
        RefusedFileError: the file is none that can be imported; nothing was written.
        NotAllowedError: another experiment has its id, or it is being imported.
        NoRoomError: there is no room for its features.
    """
    with opened(file, settings.import_limit) as parcel:
        with database.transaction() as session:
            if _is_there(session, parcel):
                return Imported(parcel.story.id, created=False)
            lease = _open(session, settings, parcel)
            room.check(session, settings)
        try:
            _fill(database, settings, lease, parcel)
        except BaseException:
            with database.transaction() as session:
                session.execute(delete(Experiment).where(Experiment.id == lease.experiment_id))
            features.forget(database, lease.experiment_id)
            raise
    return Imported(parcel.story.id, created=True)


def _is_there(session: Session, parcel: Parcel) -> bool:
    """Whether it is on record already; what an import that died has left is removed."""
    known = session.get(Experiment, parcel.story.id)
    if known is None:
        return False
    if known.worker == WORKER and known.state not in HELD:
        session.execute(delete(Experiment).where(Experiment.id == known.id))
        session.expunge(known)
        return False
    if known.worker == WORKER:
        raise NotAllowedError(f"Experiment {known.id} is being imported.")
    if known.key != parcel.spec.key:
        raise NotAllowedError(f"There is another experiment {known.id} here, with another spec.")
    return True


def _open(session: Session, settings: Settings, parcel: Parcel) -> Lease:
    """The row of an experiment under way, with no attempt left."""
    spec, story = parcel.spec, parcel.story
    latest = session.scalar(select(func.max(Experiment.repeat)).where(Experiment.key == spec.key))
    experiment = Experiment(
        id=story.id,
        key=spec.key,
        repeat=0 if latest is None else latest + 1,
        title=spec.title,
        spec=spec.model_dump(mode="json"),
        dataset=spec.dataset.kind,
        model=spec.model.kind,
        loss=spec.loss.kind,
        mix=spec.mix.kind,
        state="running",
        queue=story.queue,
        priority=story.priority,
        created=story.created,
        not_before=story.not_before,
        attempt=settings.max_attempts,
        fence=story.fence,
        lease_until=now() + settings.lease_seconds,
        worker=WORKER,
        epochs=spec.epochs,
        feature_bytes=parcel.size,
    )
    session.add(experiment)
    session.flush()
    session.add_all(ExperimentTag(experiment_id=story.id, tag=tag) for tag in sorted(set(spec.tags)))
    return Lease(story.id, story.fence)


def _fill(database: Database, settings: Settings, lease: Lease, parcel: Parcel) -> None:
    staged = []
    for epoch, name in parcel.sets:
        staged.append(features.stage(database, lease, epoch, parcel.arrays(epoch, name)))
        with database.transaction() as session:
            lifecycle.renew(session, lease, settings)
    with database.transaction() as session:
        held(session, lease)
        session.execute(update(FeatureSet).where(FeatureSet.id.in_(staged)).values(state="complete"))
        _tell(session, lease.experiment_id, parcel)


def _tell(session: Session, experiment_id: str, parcel: Parcel) -> None:
    """Write the rest, and let the experiment become what it was."""
    metrics = [{"experiment_id": experiment_id, **vars(row)} for row in parcel.metrics]
    events = [{"experiment_id": experiment_id, **event.model_dump()} for event in parcel.events]
    log, at = [], 0
    for piece in parcel.log(LOG_CHUNK_BYTES):
        log.append({"experiment_id": experiment_id, "start": at, "data": piece})
        at += len(piece)
    for table, rows in ((MetricValue, metrics), (Event, events), (LogChunk, log)):
        if rows:
            session.execute(insert(table), rows)
    curves.put(session, experiment_id, curves.of_rows(session, experiment_id, None, None))
    story = {**parcel.story.model_dump(exclude={"id"}), "lease_until": None, "log_bytes": at}
    session.execute(update(Experiment).where(Experiment.id == experiment_id).values(**story))
