"""Brings a database to the newest schema: `python -m ncmix.jobs.migrate`, or `migrate(url)`.

`--down-to REVISION` goes back to an older one, for an older program; what only the newer one knew is lost.
"""

import argparse
import fcntl
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from ncmix.jobs.database import create
from ncmix.jobs.settings import Settings, SettingsError

_LOG = logging.getLogger(__name__)
# Any number that no other user of the same server locks.
_ADVISORY_LOCK = 0x6E636D6978


def migrate(url: str, down_to: str | None = None) -> str:
    """Apply every migration that is missing; of several callers at once one works and the others wait.

    Args:
        url: SQLAlchemy's, as in `Settings.database_url`.
        down_to: instead, take back what came after this revision.

    Returns:
        The revision the schema is at now.
    """
    engine = create(url)
    try:
        with _alone(engine) as connection:
            if down_to is not None:
                command.downgrade(_config(connection), down_to)
                return down_to
            command.upgrade(_config(connection), "head")
            return head()
    finally:
        engine.dispose()


def head() -> str:
    """The newest revision this program knows."""
    newest = ScriptDirectory.from_config(_config(None)).get_current_head()
    if newest is None:
        raise RuntimeError("The package ncmix.jobs.migrations has no migrations: it was not installed whole.")
    return newest


def current(engine: Engine) -> str | None:
    """The revision a database is at; None if it is empty."""
    with engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", "ncmix.jobs:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


@contextmanager
def _alone(engine: Engine) -> Iterator[Connection]:
    """A connection that no other migrating process has at the same time."""
    if engine.dialect.name == "sqlite":
        with _file_lock(engine.url.database), engine.connect() as connection:
            yield connection
        return
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _ADVISORY_LOCK})
        connection.commit()
        try:
            yield connection
        finally:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": _ADVISORY_LOCK})
            connection.commit()


@contextmanager
def _file_lock(database: str | None) -> Iterator[None]:
    if not database:
        yield
        return
    with Path(f"{database}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Migrate the database of the settings."""
    parser = argparse.ArgumentParser(prog="python -m ncmix.jobs.migrate", description=__doc__)
    parser.add_argument("--down-to", metavar="REVISION", help="take back what came after it, such as 0003")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        _LOG.error("%s", error)
        return 2
    _LOG.info("The schema is at revision %s.", migrate(settings.database_url, arguments.down_to))
    return 0


if __name__ == "__main__":
    sys.exit(main())
