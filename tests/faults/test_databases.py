"""The database is stopped, frozen, full or busy; no attempt is lost to it, and nobody reads a 500."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from ncmix.jobs.migrate import migrate
from tests.conftest import environment_of
from tests.faults.stage import PATIENCE, Stage
from tests.jobs.helpers import submit
from tests.servers import Postgres, wait_for
from tests.toys import toy

pytestmark = pytest.mark.timeout(300)


@pytest.mark.redis
@pytest.mark.postgres
@pytest.mark.parametrize("fault", ["stopped", "frozen"])
class TestPostgresql:
    """Gone for less than a lease nothing is noticed; gone for longer the worker gives up before another may begin."""

    def test_that_is_away_for_less_than_a_lease_costs_no_attempt(
        self, servers: Stage, own_postgres: Postgres, fault: str
    ) -> None:
        experiment = servers.queue("epoch=0.1", epochs=60)
        servers.toys(NCMIX_LEASE_SECONDS="30", NCMIX_RENEW_SECONDS="1")
        servers.epoch(experiment, 3)
        with _away(own_postgres, fault):
            wait_for(_seconds(3), "Three seconds")
        ended = servers.end(experiment)
        assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 1, 1)
        assert len([r for r in servers.metrics(experiment) if r.name == "loss"]) == 60

    def test_that_is_away_for_longer_makes_the_worker_kill_its_child(
        self, servers: Stage, own_postgres: Postgres, fault: str
    ) -> None:
        experiment = servers.queue("epoch=0.1 deaf", epochs=60)
        worker = servers.toys()
        servers.epoch(experiment, 3)
        (child,) = worker.children("toy_child")
        with _away(own_postgres, fault):
            wait_for(lambda: not Path(f"/proc/{child}").exists(), "The end of the child", PATIENCE)
            assert "its lease cannot be renewed; its child is killed" in worker.log
        ended = servers.end(experiment)
        assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 2, 2)
        assert len([r for r in servers.metrics(experiment) if r.name == "loss"]) == 60


@contextmanager
def _away(server: Postgres, fault: str) -> Iterator[None]:
    if fault == "stopped":
        server.stop()
    else:
        _freeze(server, signal.SIGSTOP)
    try:
        yield
    finally:
        if fault == "stopped":
            server.start()
        else:
            _freeze(server, signal.SIGCONT)


def _freeze(server: Postgres, number: signal.Signals) -> None:
    """The server and the processes of its connections, which have sessions of their own."""
    words = server.folder.name.encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if words in (folder / "cwd").readlink().as_posix().encode():
                os.kill(int(folder.name), number)
        except OSError:
            continue


def _seconds(seconds: float):
    """A condition that holds after so long: here time itself is what the test is about."""
    over = threading.Event()
    threading.Timer(seconds, over.set).start()
    return over.is_set


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["/usr/bin/mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    made = subprocess.run(mount, check=False, capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {made.stderr.strip()}")
    yield folder
    subprocess.run(["/usr/bin/umount", str(folder)], check=True)


def test_a_full_disk_of_checkpoints_fails_the_experiment_and_nothing_else(embedded: Stage, small_disk: Path) -> None:
    wide = toy(model={"kind": "mlp", "hidden": [2000, 2000]}, epochs=3)
    experiment = submit(embedded.database, wide).id
    _, client = embedded.api()
    embedded.worker(NCMIX_CHECKPOINT_DIR=str(small_disk))
    ended = embedded.end(experiment)
    assert (ended.state, ended.reason_code) == ("failed", "disk_full")
    assert client.experiment(experiment).answer["reason"]["code"] == "disk_full"
    with embedded.database.reading() as session:
        assert session.scalar(text("PRAGMA integrity_check")) == "ok"


def test_a_full_disk_of_the_database_fails_the_experiment_and_the_api_reads(small_disk: Path, tmp_path: Path) -> None:
    url = f"sqlite:///{small_disk / 'ncmix.db'}"
    migrate(url)
    with Stage(environment_of(tmp_path / "home", url)) as stage:
        many = toy(
            dataset={"kind": "gaussian", "classes": 3, "dim": 4, "train_per_class": 2000, "test_per_class": 10},
            model={"kind": "mlp", "hidden": [1000]},
            features={"keep": "last", "max_per_class": None, "dtype": "float32"},
            epochs=1,
        )
        experiment = submit(stage.database, many).id
        _, client = stage.api()
        stage.worker()
        ended = stage.end(experiment)
        assert (ended.state, ended.reason_code) == ("failed", "disk_full")
        assert client.experiment(experiment).state == "failed"
        assert client.experiment(experiment).metric_rows() is not None
        with stage.database.reading() as session:
            assert session.scalar(text("PRAGMA integrity_check")) == "ok"


def test_a_long_reader_and_many_writers_on_sqlite(embedded: Stage) -> None:
    api, client = embedded.api()
    answers: list[httpx2.Response] = []

    def post(first: int) -> None:
        for seed in range(first, first + 4):
            body = toy(seed=seed).model_dump(mode="json")
            answers.append(httpx2.post(f"{api.url}/api/v1/experiments", json=body, timeout=60.0))

    with embedded.database.reading() as session:
        session.execute(text("SELECT count(*) FROM experiment"))
        threads = [threading.Thread(target=post, args=(4 * n,)) for n in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(90)
        # The reader still sees what was there when it began.
        assert session.scalar(text("SELECT count(*) FROM experiment")) == 0
    assert [a.status_code for a in answers] == [201] * 128
    assert len(list(client.experiments())) == 128
