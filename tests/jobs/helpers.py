"""What the tests of the job code do over and over."""

from sqlalchemy import update

from ncmix.jobs import lifecycle, queries
from ncmix.jobs.database import Database, now
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Claim
from ncmix.jobs.tables import CheckpointFile, Experiment
from ncmix.spec import Spec


def submit(database: Database, spec: Spec, queue: str = "cpu") -> Experiment:
    """Submit in a transaction of its own."""
    with database.transaction() as session:
        return lifecycle.submit(session, spec, queue).experiment


def try_claim(database: Database, settings: Settings, worker: str = "me") -> Claim | None:
    """Claim in a transaction of its own; None if nothing can be claimed."""
    with database.transaction() as session:
        return lifecycle.claim(session, ["cpu"], worker, settings)


def claim(database: Database, settings: Settings, worker: str = "me") -> Claim:
    """Claim what must be there."""
    taken = try_claim(database, settings, worker)
    assert taken is not None
    return taken


def get(database: Database, experiment_id: str) -> Experiment:
    """The experiment as it is now."""
    with database.reading() as session:
        return queries.get(session, experiment_id)


def expire(database: Database, experiment_id: str) -> None:
    """Let the lease have run out a second ago, instead of waiting for it."""
    with database.transaction() as session:
        session.execute(update(Experiment).where(Experiment.id == experiment_id).values(lease_until=now() - 1.0))


def rested(database: Database, experiment_id: str) -> None:
    """Let the rest before the next attempt be over."""
    with database.transaction() as session:
        session.execute(update(Experiment).where(Experiment.id == experiment_id).values(not_before=now() - 1.0))


def reap(database: Database, settings: Settings) -> list[Experiment]:
    """Reap in a transaction of its own."""
    with database.transaction() as session:
        return lifecycle.reap(session, settings)


def keep_end(database: Database, experiment_id: str) -> None:
    """Let there be a checkpoint of its end on record, from which a longer experiment can go on; but no file."""
    with database.transaction() as session:
        epochs = queries.get(session, experiment_id).epochs
        of_end = {"experiment_id": experiment_id, "epoch": epochs, "step": 0}
        session.merge(CheckpointFile(**of_end, sha256="0" * 64, size=4, path=f"{experiment_id}/end.pt", created=0.0))
