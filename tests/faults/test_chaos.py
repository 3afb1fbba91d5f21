"""The storm, for a short while; `make chaos SEED=n MINUTES=m` lets it rage for longer."""

import os

import pytest

from tests.faults.chaos import Storm
from tests.faults.stage import Stage
from tests.servers import Postgres, Redis

SEED = int(os.environ.get("NCMIX_TEST_SEED", "1"))
MINUTES = float(os.environ.get("NCMIX_TEST_MINUTES", "0.5"))
LEAST = int(os.environ.get("NCMIX_TEST_JOBS", "60"))

pytestmark = pytest.mark.timeout(MINUTES * 60 + 900)


@pytest.mark.redis
@pytest.mark.postgres
def test_nothing_is_lost_in_a_storm_on_postgresql_and_redis(
    servers: Stage, own_postgres: Postgres, own_redis: Redis, capsys: pytest.CaptureFixture[str]
) -> None:
    report = Storm(servers, SEED, own_postgres, own_redis).run(MINUTES * 60, LEAST)
    with capsys.disabled():
        print(f"\nPostgreSQL and Redis, {report}")  # noqa: T201


def test_nothing_is_lost_in_a_storm_on_sqlite_and_files(embedded: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    report = Storm(embedded, SEED).run(MINUTES * 60, LEAST)
    with capsys.disabled():
        print(f"\nSQLite and files, {report}")  # noqa: T201
