"""The connection to the record: two context managers, and the only place that commits."""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from psycopg import Cursor
from psycopg.errors import DiskFull
from psycopg.pq import Format
from pydantic_core import from_json
from sqlalchemy import Connection, Double, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from ncmix.jobs.objects import ObjectError, Objects, opened
from ncmix.jobs.settings import Settings

T = TypeVar("T")

# Where a session has the Objects of its database.
OBJECTS = "objects"
_WRITER = "ncmix_writer"
_RETRY_SECONDS = 0.5
# 32 MB: other writers wait for one piece, not for all.
_PAGES_AT_ONCE = 2000
# The second is what a write-ahead log meets that finds no room for its index.
_SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_BUSY_SECONDS = 10.0
_PRAGMAS = (
    # These two bind only while the file is being made.
    "page_size = 16384",
    "auto_vacuum = INCREMENTAL",
    "journal_mode = WAL",
    "synchronous = NORMAL",
    "foreign_keys = ON",
)


class Database:
    """One record, on SQLite or PostgreSQL. Not to be carried over a fork: make a new one behind it.

    `objects` are where it keeps the bytes of features, if not in itself; every session has them in its `info`.
    """

    def __init__(self, url: str, objects: Objects | None = None, *, busy_seconds: float = _BUSY_SECONDS) -> None:
        """
        Args:
            url: SQLAlchemy's, as in `Settings.database_url`.
            objects: where the bytes of features lie, if not in the database.
            busy_seconds: how long SQLite's file is waited for while somebody else has it locked.
        """
        self.objects = objects
        self.engine = create(url, binary=True, busy_seconds=busy_seconds)
        self._lock: AbstractContextManager[Any] = nullcontext()
        readers, writers = self.engine, self.engine
        if self.engine.dialect.name == "sqlite":
            # SQLite has one writer at a time; a queue in here is fair, its own retries are not.
            self._lock = threading.Lock()
            writers = self.engine.execution_options(**{_WRITER: True})
        else:
            # What is read in one `reading` is of one instant, as SQLite has it anyway.
            readers = self.engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        info = {OBJECTS: objects}
        self._writers = sessionmaker(writers, expire_on_commit=False, info=info)
        self._readers = sessionmaker(readers, expire_on_commit=False, info=info)

    @classmethod
    def of(cls, settings: Settings) -> "Database":
        """The record of a service, with its feature store.

        Raises:
            ObjectError: the store cannot be used.
        """
        return cls(settings.database_url, opened(settings.feature_store))

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A session whose writes are committed at the end of the block, all or none."""
        with self._lock, self._writers.begin() as session:
            yield session

    @contextmanager
    def passing(self) -> Iterator[Session]:
        """A transaction for signs of life, of which the next makes up for one that is lost.

        PostgreSQL does not wait for its disk then: nearly all commits of a large fleet are such, and only a crash of
        its machine loses the last of them.
        """
        with self.transaction() as session:
            if self.engine.dialect.name == "postgresql":
                session.execute(text("SET LOCAL synchronous_commit = off"))
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session to read with: one consistent view, blocking nobody; what it gave can be used after the block."""
        with self._readers() as session:
            yield session

    def give_back(self) -> None:
        """Let SQLite's file shrink by what was deleted, piece by piece; PostgreSQL looks after that itself."""
        if self.engine.dialect.name != "sqlite":
            return
        with closing(self.engine.raw_connection()) as connection:
            cursor, free = connection.cursor(), 0
            # As long as that helps: another process may keep the last ones.
            while (left := cursor.execute("PRAGMA freelist_count").fetchone()[0]) and left != free:
                free = left
                with self._lock:
                    # As a script: a plain execute stops after the first page.
                    cursor.executescript(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})")
            if free:
                # Only then does the file itself shrink; waits for nobody.
                cursor.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def dispose(self) -> None:
        """Close every connection."""
        self.engine.dispose()


def patiently(action: Callable[[], T], seconds: float) -> T:
    """What `action` gives; while database or feature store do not answer, try again, for as long as `seconds`.

    Raises:
        OperationalError, InterfaceError, ObjectError: it still did not.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            return action()
        except (OperationalError, InterfaceError, ObjectError):
            if time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)


def is_full(error: DBAPIError) -> bool:
    """Whether the database refused a write because its disk is full."""
    return isinstance(error.orig, DiskFull) or getattr(error.orig, "sqlite_errorcode", None) in _SQLITE_FULL


def brief(error: DBAPIError) -> str:
    """What a database said, in a line for a log."""
    return str(error.orig).partition("\n")[0]


def create(url: str, *, binary: bool = False, busy_seconds: float = _BUSY_SECONDS) -> Engine:
    """SQLAlchemy's engine with our settings for the database that the address names; makes SQLite's folder.

    With `binary` PostgreSQL sends rows in its binary protocol: features come twice as fast, but SQLAlchemy cannot read
    the catalogue that way, as migrations have to.
    """
    address = make_url(url)
    if address.get_backend_name() != "sqlite":
        return create_engine(
            address,
            pool_size=10,
            max_overflow=40,
            pool_pre_ping=True,
            json_deserializer=_loads,
            hide_parameters=True,  # in errors, which are logged
            # A server that is gone without a word must be noticed before a lease ends.
            connect_args={
                "connect_timeout": 5,
                "tcp_user_timeout": 10_000,
                "application_name": "ncmix",
                "cursor_factory": _BinaryCursor if binary else Cursor,
            },
        )
    if address.database:
        Path(address.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(address, pool_size=10, max_overflow=40, json_deserializer=_loads, hide_parameters=True)
    event.listen(engine, "connect", partial(_set_up_sqlite, busy_seconds))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _loads(text: str | bytes) -> Any:
    """The value of a JSON text, in a quarter of the time that the standard library takes."""
    try:
        return from_json(text)
    except ValueError:  # half of a surrogate pair, which the other does not take
        return json.loads(text)


class _BinaryCursor(Cursor[Any]):
    """Asks for rows in the binary protocol: bytes are not sent as hexadecimal digits."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.format = Format.BINARY


def _set_up_sqlite(busy_seconds: float, connection: Any, _: object) -> None:
    connection.isolation_level = None  # The driver would begin transactions on its own, and too late.
    connection.execute(f"PRAGMA busy_timeout = {1000 * busy_seconds:.0f}")
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and then writes would otherwise fail at once when another wrote in between.
    if connection.get_execution_options().get(_WRITER, False):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        # By the driver, which is quicker; it waits for nobody and cannot fail.
        connection.connection.cursor().execute("BEGIN")


class now(FunctionElement[float]):  # noqa: N801 - reads as SQL does
    """The database's clock, in seconds since 1970. Leases are compared by no other clock."""

    type = Double()
    inherit_cache = True


@compiles(now, "sqlite")
def _now_sqlite(element: now, compiler: SQLCompiler, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(now, "postgresql")
def _now_postgresql(element: now, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(extract(epoch FROM statement_timestamp()) AS double precision)"
