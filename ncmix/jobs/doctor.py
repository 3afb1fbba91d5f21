"""What is wrong with a service, in sentences: `python -m ncmix.jobs.doctor`, or `ncmix jobs doctor`."""

import argparse
import json
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from ncmix.jobs import migrate
from ncmix.jobs.database import Database, brief, now
from ncmix.jobs.leftovers import leftovers, stored
from ncmix.jobs.objects import ObjectError
from ncmix.jobs.queue import Hints
from ncmix.jobs.settings import Settings, SettingsError
from ncmix.jobs.states import HELD
from ncmix.jobs.tables import Experiment

_LOG = logging.getLogger(__name__)
_WAITING_SECONDS = 120.0
_LEAST_FREE = 2**30


def findings(settings: Settings, database: Database) -> Iterator[str]:
    """One sentence for each thing that is wrong, with what to do about it.

    Raises:
        DBAPIError: the database does not answer.
    """
    if wrong := _schema(database):
        yield wrong
        return
    yield from _broker(settings)
    try:
        folders = stored(database.objects)
    except ObjectError as error:
        folders = frozenset[str]()
        yield str(error)
    with database.reading() as session:
        yield from _stale(session, settings)
        yield from _waiting(session)
        yield from leftovers(session, settings, folders).sentences()
    yield from _disk(settings)


def _schema(database: Database) -> str | None:
    """Without the right one nothing else can be looked at."""
    found, wanted = migrate.current(database.engine), migrate.head()
    if found == wanted:
        return None
    return f"The schema is at revision {found}, this program needs {wanted}: run python -m ncmix.jobs.migrate."


def _broker(settings: Settings) -> Iterator[str]:
    hints = Hints(settings)
    if not hints.can_be_sent():
        seconds = f"{settings.poll_seconds:g} s"
        yield f"The broker does not answer: what is submitted is found by a worker's poll, up to {seconds} later."
    hints.close()


def _stale(session: Session, settings: Settings) -> Iterator[str]:
    """A lease that ran out is taken away within a reaper's period; later than that there is no reaper."""
    late = now() - 4 * settings.reap_seconds
    query = select(Experiment).where(Experiment.state.in_(HELD), Experiment.lease_until < late)
    for experiment in session.scalars(query):
        yield (
            f"Experiment {experiment.id} is {experiment.state}, but its lease by {experiment.worker} has run out and "
            "nobody takes it away: start a worker or the API."
        )


def _waiting(session: Session) -> Iterator[str]:
    waits = (Experiment.state == "queued", Experiment.not_before < now() - _WAITING_SECONDS)
    query = select(Experiment.queue, func.count()).where(*waits).group_by(Experiment.queue)
    for queue, count in session.execute(query).all():
        at_work = session.scalar(
            select(func.count()).where(Experiment.queue == queue, Experiment.state.in_(HELD)).select_from(Experiment)
        )
        if not at_work:
            yield (
                f"{count} experiments wait in the queue {queue!r} and none is running there: start a worker that "
                f"serves it (python -m worker --queues {queue})."
            )
    yield from _too_large(session, waits)


def _too_large(session: Session, waits: tuple[ColumnElement[bool], ...]) -> Iterator[str]:
    """What needs more GPUs than any slot at work has: of a slot that is idle nothing is on record."""
    most = session.scalar(select(func.max(Experiment.devices)).where(Experiment.queue == "gpu", *waits))
    if most is None or most == 1:
        return
    held = (Experiment.queue == "gpu", Experiment.state.in_(HELD), Experiment.devices >= most)
    if session.scalar(select(Experiment.id).where(*held).limit(1)) is None:
        yield (
            f"An experiment waits for {most} devices and none is running that has so many: start a worker with a slot "
            f"of {most} GPUs (NCMIX_SLOTS={'+'.join(map(str, range(most)))})."
        )


def _disk(settings: Settings) -> Iterator[str]:
    for folder in {settings.home, settings.checkpoint_dir}:
        if folder.exists() and (free := shutil.disk_usage(folder).free) < _LEAST_FREE:
            yield f"{folder} has only {free / 2**20:.0f} MiB left: run ncmix jobs gc, or make room."


def main() -> int:
    """Print every finding; gives 0 if there is none."""
    parser = argparse.ArgumentParser(prog="ncmix jobs doctor", description=__doc__)
    parser.add_argument("--json", action="store_true", help="answer in JSON")
    as_json = parser.parse_args().json
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    try:
        found = _found(Settings.from_environment())
    except SettingsError as error:
        _LOG.error("%s", error)
        return 2
    sys.stdout.write(_written(found, as_json))
    return 1 if found else 0


def _found(settings: Settings) -> list[str]:
    """All findings, also when there is nothing to look with."""
    try:
        database = Database.of(settings)
    except ObjectError as error:
        return [str(error)]
    try:
        return list(findings(settings, database))
    except DBAPIError as error:
        return [f"The database does not answer, or has no schema: {brief(error)}"]
    finally:
        database.dispose()


def _written(found: Sequence[str], as_json: bool) -> str:
    if as_json:
        return f"{json.dumps({'findings': found}, indent=2, ensure_ascii=False)}\n"
    return "".join(f"- {sentence}\n" for sentence in found) or "All is well.\n"


if __name__ == "__main__":
    sys.exit(main())
