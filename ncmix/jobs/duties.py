"""What one process at a time does for all: a row says who, and until when; who finds it run out takes it over."""

import logging
import threading
from collections.abc import Callable

from sqlalchemy import or_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ncmix.jobs import journal, lifecycle, retention
from ncmix.jobs.database import Database, brief, now
from ncmix.jobs.retention import Expired
from ncmix.jobs.service_tables import Duty
from ncmix.jobs.settings import Settings
from ncmix.jobs.tables import Experiment

REAPER, KEEPER = "reaper", "keeper"
# How often the policy of what is kept is applied.
KEEP_SECONDS = 3600.0
_LOG = logging.getLogger(__name__)


def every(seconds: float, duty: Callable[[], None], stopping: threading.Event) -> threading.Thread:
    """Do it in a thread of its own, at once and every so many seconds until `stopping` is set, whatever goes wrong."""

    def go_on() -> None:
        while not stopping.is_set():
            try:
                duty()
            except DBAPIError as error:
                _LOG.warning("%s: the database does not answer: %s", duty.__name__, brief(error))
            except Exception:
                # A thread that ends is missed by nobody.
                _LOG.exception("%s failed", duty.__name__)
            stopping.wait(seconds)

    thread = threading.Thread(target=go_on, name=duty.__name__, daemon=True)
    thread.start()
    return thread


def take(session: Session, name: str, holder: str, seconds: float) -> bool:
    """Have a duty, or go on having it, for so long from now; False if another process has it."""
    mine = (
        update(Duty)
        .where(Duty.name == name, or_(Duty.holder == holder, Duty.until < now()))
        .values(holder=holder, until=now() + seconds)
        .returning(Duty.name)
    )
    if session.scalar(mine) is not None:
        return True
    insert = (postgresql if session.get_bind().dialect.name == "postgresql" else sqlite).insert(Duty)
    first = insert.values(name=name, holder=holder, until=now() + seconds).on_conflict_do_nothing()
    return session.scalar(first.returning(Duty.name)) is not None


def reap(database: Database, settings: Settings, holder: str) -> list[Experiment]:
    """Take experiments from workers that are dead, unless another process is at it; gives them in their new states.

    Two at once would do no harm; one is enough.
    """
    with database.transaction() as session:
        if not take(session, REAPER, holder, 2 * settings.reap_seconds):
            return []
        reaped = lifecycle.reap(session, settings)
    for experiment in reaped:
        with journal.about(experiment=experiment.id, attempt=experiment.attempt):
            _LOG.warning("experiment %s: %s: %s", experiment.id, experiment.state, experiment.reason_message)
    return reaped


def keep(database: Database, settings: Settings, holder: str) -> Expired | None:
    """Remove what is kept no longer, unless another process does; None then."""
    with database.transaction() as session:
        if not take(session, KEEPER, holder, 2 * KEEP_SECONDS):
            return None
    expired = retention.expire(database, settings, settings.keep)
    if expired != Expired():
        _LOG.info("kept no longer: %s", expired)
    return expired
