"""Large array sets through a real server: little memory, no connection held, and never a part taken for the whole."""

import hashlib

import httpx2
import numpy as np
import pytest
from sqlalchemy import text

from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.results import ArraySet
from tests.api.lives import Lives
from tests.api.served import serving
from tests.servers import wait_for

MIB = 2**20
LARGE = 64 * MIB
# Of a set of 400 MB no more than 64 MB may be in memory: what is held does not grow with the set.
MOST_HELD = 48 * MIB


@pytest.fixture
def large(database: Database, settings: Settings) -> tuple[str, np.ndarray]:
    """An experiment that has kept 64 MiB of features, and these."""
    lives = Lives(database, settings)
    lease = lives.running()
    h = np.random.default_rng(0).integers(0, 2**31, LARGE // 4, np.int32).view(np.float32).reshape(-1, 256)
    lives.keep(lease, 1, ArraySet("train", {"H": h, "y": np.arange(len(h)) % 10}))
    return lives.finish(lease), h


def test_a_large_set_is_sent_in_little_memory(environment: dict[str, str], large: tuple[str, np.ndarray]):
    experiment, h = large
    with serving(environment) as served:
        for kind in ("npy", "npz", "parquet"):
            here = f"/api/v1/experiments/{experiment}/features/train.{kind}"
            served.http.get(here, params={"rows": "0:9"})  # what is loaded once does not count
            before, digest = served.forget(), hashlib.sha256()
            with served.http.stream("GET", here) as answer:
                size = 0
                for piece in answer.iter_raw():
                    digest.update(piece[max(0, 128 - size) :])
                    size += len(piece)
            held = served.peak() - before
            assert held < MOST_HELD, kind
            assert size > LARGE
            if kind == "npy":
                assert digest.hexdigest() == hashlib.sha256(h.tobytes()).hexdigest()


def test_who_reads_slowly_holds_nothing_and_a_set_deleted_meanwhile_breaks_the_connection(
    environment: dict[str, str], large: tuple[str, np.ndarray], database: Database
):
    experiment, _ = large
    with serving(environment) as served, httpx2.Client(base_url=served.http.base_url, timeout=30) as slow:
        with slow.stream("GET", f"/api/v1/experiments/{experiment}/features/train.npy") as answer:
            pieces = answer.iter_raw(MIB)
            got = len(next(pieces))
            wait_for(lambda: busy_connections(database) == 0, "The return of every connection")
            assert served.http.delete(f"/api/v1/experiments/{experiment}").status_code == 204
            with pytest.raises(httpx2.RemoteProtocolError):
                got += sum(map(len, pieces))
            assert got < int(answer.headers["content-length"])
        assert served.http.get("/readyz").is_success


def busy_connections(database: Database) -> int:
    """Connections to PostgreSQL with a transaction open, but ours; SQLite's show when the set is to be deleted."""
    if database.engine.dialect.name == "sqlite":
        return 0
    query = """SELECT count(*) FROM pg_stat_activity
        WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid() AND datname = 'postgres'"""
    with database.reading() as session:
        return session.execute(text(query)).scalar_one()
