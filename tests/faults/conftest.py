"""Whole services of real processes, whose parts a test can stop, freeze and kill; servers are shared by a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ncmix.jobs.migrate import migrate
from tests.conftest import environment_of, started
from tests.faults.stage import Stage
from tests.servers import Postgres, Redis

_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of this folder is long."""
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="module")
def own_redis() -> Iterator[Redis]:
    """A Redis of the module's own, to be stopped and frozen."""
    with started("redis", Redis) as server:
        yield server


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """A PostgreSQL of the module's own, to be stopped and frozen."""
    with started("postgres", Postgres) as server:
        migrate(server.url)
        yield server


@pytest.fixture
def servers(own_redis: Redis, own_postgres: Postgres, tmp_path: Path) -> Iterator[Stage]:
    """A service on PostgreSQL and Redis with nothing in it."""
    own_redis.flush()
    own_postgres.run("TRUNCATE experiment, sweep, idempotency, duty CASCADE")
    with Stage(environment_of(tmp_path / "home", own_postgres.url, own_redis.url)) as stage:
        yield stage


@pytest.fixture
def embedded(sqlite_url: str, tmp_path: Path) -> Iterator[Stage]:
    """A service on SQLite and files with nothing in it."""
    with Stage(environment_of(tmp_path / "home", sqlite_url)) as stage:
        yield stage


@pytest.fixture(params=["embedded", pytest.param("servers", marks=[pytest.mark.redis, pytest.mark.postgres])])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Each of the two in turn."""
    return request.getfixturevalue(request.param)
