"""The migrations make the schema that the models describe, and may be run by anybody at any time."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from ncmix.jobs.database import Database, create
from ncmix.jobs.migrate import current, head, migrate
from ncmix.jobs.service_tables import Base
from ncmix.spec import parse
from tests.jobs.helpers import get, submit
from tests.servers import Postgres


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database in which nothing is."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/empty.db"
        return
    server: Postgres = request.getfixturevalue("postgres_server")
    server.run("CREATE DATABASE empty TEMPLATE template0")
    yield server.url_of("empty")
    server.run("DROP DATABASE empty WITH (FORCE)")


def test_the_migrated_schema_is_the_one_of_the_models(empty_url: str) -> None:
    assert migrate(empty_url) == head()
    engine = create(empty_url)
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), Base.metadata)
    assert (current(engine), differences) == (head(), [])
    engine.dispose()


def test_processes_that_migrate_at_once_wait_for_each_other(empty_url: str, tmp_path: Path) -> None:
    environment = {**os.environ, "NCMIX_DATABASE_URL": empty_url, "NCMIX_HOME": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-m", "ncmix.jobs.migrate"]
    started = [subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert sum("Running upgrade" in text for text in said) == 1
    assert all(f"The schema is at revision {head()}." in text for text in said)


def test_every_older_schema_can_be_gone_back_to_and_comes_up_again_with_its_data(empty_url: str) -> None:
    migrate(empty_url)
    database = Database(empty_url)
    made = submit(database, parse({"dataset": "digits", "model": "mlp"})).id
    for number in range(int(head()) - 1, 2, -1):
        # Step by step, as well as from the newest: each way down has to leave what the next one expects.
        migrate(empty_url, f"{number:04}")
        assert current(database.engine) == f"{number:04}"
    for number in range(3, int(head())):
        migrate(empty_url)
        assert get(database, made).state == "queued"
        migrate(empty_url, f"{number:04}")
    database.dispose()


def test_a_setting_that_cannot_be_used_is_a_sentence_and_not_a_traceback() -> None:
    environment = {**os.environ, "NCMIX_DATABASE_URL": "mysql://x"}
    command = [sys.executable, "-m", "ncmix.jobs.migrate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("NCMIX_DATABASE_URL begins with 'mysql'; allowed are")
