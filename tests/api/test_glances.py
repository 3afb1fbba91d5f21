"""Short reads in the event loop: right on every database, and never a reason for the loop to wait."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial

import pytest
from sqlalchemy import make_url
from sqlalchemy.orm import Session

from api.glances import Glances
from ncmix.jobs import stored
from ncmix.jobs.database import Database
from ncmix.jobs.queries import UnknownExperimentError
from tests.jobs.helpers import submit
from tests.toys import toy


@pytest.fixture
def glances(database: Database) -> Iterator[Glances]:
    """Glances at an empty record, on each kind of database in turn."""
    with closing(Glances(database)) as glances:
        yield glances


def test_a_glance_sees_what_was_committed_last(glances: Glances, database: Database) -> None:
    for seed in range(3):
        made = submit(database, toy(seed=seed)).id
        assert asyncio.run(glances.of(partial(stored.one, experiment_id=made))).row.id == made
    with pytest.raises(UnknownExperimentError):
        asyncio.run(glances.of(partial(stored.one, experiment_id="0" * 20)))


def test_it_needs_none_of_the_connections_that_threads_hold(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with closing(Glances(database)) as glances, ExitStack() as held:
        for _ in range(50):
            held.enter_context(database.engine.connect())
        assert asyncio.run(glances.of(_rows)) == 0
    database.dispose()


def test_while_the_file_is_locked_the_loop_goes_on_and_the_answer_comes_later(sqlite_url: str) -> None:
    async def ask(glances: Glances, holder: sqlite3.Connection) -> int:
        asked, turns = asyncio.create_task(glances.of(_rows)), 0
        while not asked.done():
            await asyncio.sleep(0.01)
            turns += 1
            if turns == 20:
                holder.close()
        assert turns >= 20
        return await asked

    holder = sqlite3.connect(make_url(sqlite_url).database or "", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN EXCLUSIVE")
    database = Database(sqlite_url)
    with closing(Glances(database)) as glances:
        assert asyncio.run(ask(glances, holder)) == 0
    database.dispose()


def _rows(session: Session) -> int:
    return session.connection().exec_driver_sql("SELECT count(*) FROM experiment").scalar() or 0
