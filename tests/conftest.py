"""Databases and brokers of a test's own, real ones; what this machine cannot start is left out, and said at the end."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy

from ncmix.jobs.database import Database
from ncmix.jobs.migrate import migrate
from ncmix.jobs.settings import Settings
from tests.servers import S3, MissingBinaryError, Postgres, Redis, Server

# Two threads that wait for each other on two busy cores are slower than one, by far; children inherit this.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# NCMIX_TEST_REQUIRE=redis,postgres turns a missing server into a failure.
_REQUIRED = {word.strip() for word in os.environ.get("NCMIX_TEST_REQUIRE", "").split(",") if word.strip()}
# Where tests start whole services and wait for them, the longest first.
_WAITING = ("tests/client", "tests/browser", "tests/test_flow", "tests/faults", "tests/worker", "tests/contract")
# The last of them starts when so much of the others is over.
_ALL_STARTED = 0.6
_LEFT_OUT = "left out: every test with"


def pytest_configure() -> None:
    """Whatever a developer's shell says of the service must not reach the tests."""
    for name in [name for name in os.environ if name.startswith("NCMIX_") and not name.startswith("NCMIX_TEST_")]:
        del os.environ[name]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that wait among files that compute, lest cores idle; and early, so that none is alone at the end."""
    files = dict.fromkeys(item.nodeid.partition("::")[0] for item in items)
    waiting = [file for place in _WAITING for file in files if file.startswith(place)]
    computing = [file for file in files if file not in waiting]
    when = {file: _ALL_STARTED * place / len(waiting) for place, file in enumerate(waiting)}
    when |= {file: place / len(computing) for place, file in enumerate(computing)}
    items.sort(key=lambda item: when[item.nodeid.partition("::")[0]])


def pytest_xdist_auto_num_workers() -> int:
    """Three processes more than there are cores: tests of whole paths mostly wait."""
    return (os.cpu_count() or 1) + 3


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each thing that this machine lacks, and for the tests that were not asked for."""
    whys = {report.longrepr[2].removeprefix("Skipped: ") for report in terminalreporter.stats.get("skipped", ())}
    for why in sorted(why for why in whys if why.startswith(_LEFT_OUT)):
        terminalreporter.write_line(why, yellow=True)
    if "not long" in terminalreporter.config.option.markexpr:
        terminalreporter.write_line("left out: the tests marked long, which make test-long runs", yellow=True)


def started(name: str, make: Callable[[], Server]) -> Server:
    try:
        return make()
    except MissingBinaryError as error:
        if name in _REQUIRED:
            pytest.fail(f"NCMIX_TEST_REQUIRE names {name}, but {error}")
        pytest.skip(f"{_LEFT_OUT} {name}, because {error}")


@pytest.fixture(scope="session")
def redis_server() -> Iterator[Redis]:
    """The session's Redis. A test that stops or freezes it starts one of its own."""
    with started("redis", Redis) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """The session's PostgreSQL, with our schema in the database `postgres`."""
    with started("postgres", Postgres) as server:
        migrate(server.url)
        yield server


@pytest.fixture(scope="session")
def migrated_file() -> Iterator[Path]:
    """A SQLite file with our schema and no rows, to be copied."""
    with tempfile.TemporaryDirectory(prefix="ncmix-sqlite-") as folder:
        path = Path(folder) / "ncmix.db"
        migrate(f"sqlite:///{path}")
        yield path


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3]:
    """The session's object store."""
    with started("s3", S3) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: Redis) -> str:
    """An empty Redis."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    """A PostgreSQL database with our schema and no rows."""
    engine = sqlalchemy.create_engine(postgres_server.url)
    others = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'postgres'"
    )
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text(others))
        connection.execute(sqlalchemy.text("TRUNCATE experiment, sweep, idempotency, duty, api_key CASCADE"))
    engine.dispose()
    return postgres_server.url


@pytest.fixture
def sqlite_url(migrated_file: Path, tmp_path: Path) -> str:
    """A SQLite database with our schema and no rows."""
    path = tmp_path / "home" / "ncmix.db"
    path.parent.mkdir(exist_ok=True)
    shutil.copy(migrated_file, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """An empty database with our schema, of each kind in turn."""
    return request.getfixturevalue(f"{request.param}_url")


def environment_of(home: Path, database_url: str, broker_url: str | None = None) -> dict[str, str]:
    """NCMIX_* variables with which a fault is noticed in seconds, and which a busy machine can still live with."""
    short = {"LEASE": "4", "RENEW": "0.5", "WATCH": "0.1", "POLL": "0.5", "REAP": "0.5", "GRACE": "3", "BACKOFF": "0.1"}
    return {
        "NCMIX_HOME": str(home),
        "NCMIX_DATABASE_URL": database_url,
        # Most tests start a worker for one experiment: a spare child would only take the processor from it.
        "NCMIX_WARM": "0",
        **({"NCMIX_BROKER_URL": broker_url} if broker_url else {}),
        **{f"NCMIX_{name}_SECONDS": value for name, value in short.items()},
    }


@pytest.fixture
def embedded_environment(tmp_path: Path, sqlite_url: str) -> dict[str, str]:
    """The NCMIX_* variables of a whole service on SQLite and files."""
    return environment_of(tmp_path / "home", sqlite_url)


@pytest.fixture
def environment(tmp_path: Path, database_url: str) -> dict[str, str]:
    """The NCMIX_* variables of a service on each kind of database, with the embedded broker."""
    return environment_of(tmp_path / "home", database_url)


@pytest.fixture
def servers_environment(tmp_path: Path, postgres_url: str, redis_url: str) -> dict[str, str]:
    """The NCMIX_* variables of a whole service on PostgreSQL and Redis."""
    return environment_of(tmp_path / "home", postgres_url, redis_url)


@pytest.fixture(params=["embedded", pytest.param("servers", marks=[pytest.mark.redis, pytest.mark.postgres])])
def service_environment(request: pytest.FixtureRequest) -> dict[str, str]:
    """The NCMIX_* variables of a whole service: on SQLite and files, then on PostgreSQL and Redis."""
    return request.getfixturevalue(f"{request.param}_environment")


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    """The settings in `environment`."""
    return Settings.from_environment(environment)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The database of `settings`."""
    opened = Database(settings.database_url)
    yield opened
    opened.dispose()
