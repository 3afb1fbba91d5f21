"""Reads of a row or two that are asked for all the time: on SQLite in the event loop itself, on PostgreSQL in a thread.

Such a read takes a fifth of a millisecond; to hand it to a thread, which then shares the interpreter with the event
loop, costs twice that when many ask at once.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from ncmix.jobs.database import Database

T = TypeVar("T")


class Glances:
    """Never makes the event loop wait: what cannot be read at once is read in a thread."""

    def __init__(self, database: Database) -> None:
        """
        Args:
            database: the record, by which threads read.
        """
        self._database = database
        # With connections of its own: of the others, threads may hold every one until the event loop goes on.
        url = database.engine.url
        self._at_once = (
            Database(url.render_as_string(hide_password=False), busy_seconds=0)
            if url.get_backend_name() == "sqlite"
            else None
        )

    async def of(self, read: Callable[[Session], T]) -> T:
        """What `read` gives; it must be short."""
        if self._at_once is not None:
            # Somebody may have locked the file, which a thread can wait for; or it is broken, as that will say.
            with suppress(OperationalError):
                return _read(self._at_once, read)
        return await run_in_threadpool(_read, self._database, read)

    def close(self) -> None:
        """Close its connections."""
        if self._at_once is not None:
            self._at_once.dispose()


def _read(database: Database, read: Callable[[Session], T]) -> T:
    with database.reading() as session:
        return read(session)
