"""A real Celery worker, its pool process and its training child, on the embedded default and on real servers."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ncmix.jobs import lifecycle, queries
from ncmix.jobs.database import Database
from ncmix.jobs.queue import Hints
from ncmix.jobs.settings import Settings
from ncmix.jobs.tables import Experiment
from tests.jobs.helpers import get, submit
from tests.servers import Worker, free_port, wait_for
from tests.toys import toy

# Starting a child takes as long as PyTorch takes to load; on a busy machine that is a while.
PATIENCE = 90.0
ONCE = {"epochs": "last", "geometry": None}


class Service:
    """A database and a broker, and the means to submit to them as the API does."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        settings = Settings.from_environment(environment)
        self.database, self._hints = Database(settings.database_url), Hints(settings)

    def submit(self, **changes: Any) -> Experiment:
        """A toy experiment, on record and, if there is a broker, on the queue."""
        experiment = submit(self.database, toy(**changes))
        self._hints.wake(experiment.queue)
        return experiment

    def wait(self, experiment: Experiment, condition: Callable[[Experiment], bool], what: str) -> Experiment:
        """The experiment once the condition holds of it."""
        wait_for(lambda: condition(get(self.database, experiment.id)), what, PATIENCE)
        return get(self.database, experiment.id)

    def wait_end(self, experiment: Experiment) -> Experiment:
        """The experiment once it has ended."""
        return self.wait(experiment, lambda e: e.finished is not None, f"The end of {experiment.title}")

    def close(self) -> None:
        """Close the connections."""
        self._hints.close()
        self.database.dispose()


@pytest.fixture
def service(service_environment: dict[str, str]) -> Iterator[Service]:
    """A service without a worker."""
    service = Service(service_environment)
    yield service
    service.close()


@pytest.fixture
def deaf(embedded_environment: dict[str, str]) -> Iterator[Service]:
    """The same on SQLite, with a broker that is down."""
    service = Service({**embedded_environment, "NCMIX_BROKER_URL": f"redis://127.0.0.1:{free_port()}/0"})
    yield service
    service.close()


def _loaded(pid: int, library: str) -> bool:
    return library in Path(f"/proc/{pid}/maps").read_text()


@pytest.mark.long
@pytest.mark.timeout(300)
def test_killed_in_the_middle_it_is_run_again_by_another_and_recorded_once(service: Service) -> None:
    experiment = service.submit(epochs=150, measure=ONCE)
    with Worker(service.environment) as first:
        service.wait(experiment, lambda e: e.epoch >= 5, "The fifth epoch")
        (child,) = first.children()
        assert _loaded(child, "libtorch")
        assert not any(_loaded(pid, "libtorch") for pid in first.children("-m worker") if pid != child)
        first.kill()
        assert get(service.database, experiment.id).state == "running"
        # Nobody told the child: it has to find out.
        wait_for(lambda: not first.children(), "The end of the child")
    with Worker(service.environment) as second:
        ended = service.wait_end(experiment)
        assert second.stop() == 0
    assert (ended.state, ended.attempt, ended.fence, ended.epoch) == ("succeeded", 2, 2, 150)
    with service.database.reading() as session:
        rows = queries.metrics(session, experiment.id)
        kinds = Counter(e.kind for e in queries.events(session, experiment.id))
        log = queries.log(session, experiment.id).data.decode()
        features = [(s.epoch, s.name) for s in queries.feature_sets(session, experiment.id)]
    assert [r.epoch for r in rows if r.name == "lr"] == list(range(1, 151))
    assert Counter((r.epoch, r.split, r.name) for r in rows).most_common(1)[0][1] == 1
    assert {r.epoch for r in rows if r.split == "test"} == {150}
    assert (kinds["claimed"], kinds["requeued"], kinds["succeeded"]) == (2, 1, 1)
    assert {(150, "train"), (150, "test")} <= set(features)
    assert "epoch 150 in" in log


@pytest.mark.timeout(300)
def test_without_a_broker_it_finds_its_work_and_stops_for_the_user_and_for_docker(deaf: Service) -> None:
    """Cancelled the one, given back uncharged the other, and no child is left."""
    cancelled = deaf.submit(epochs=1_000_000, measure=ONCE)
    with Worker(deaf.environment) as worker:
        deaf.wait(cancelled, lambda e: e.epoch >= 2, "The second epoch")
        with deaf.database.transaction() as session:
            assert lifecycle.cancel(session, cancelled.id).state == "cancelling"
        row = deaf.wait_end(cancelled)
        assert (row.state, row.reason_code) == ("cancelled", "cancelled_by_user")
        assert not worker.children()
        released = deaf.submit(seed=1, epochs=1_000_000, measure=ONCE)
        deaf.wait(released, lambda e: e.epoch >= 2, "The second epoch")
        assert worker.stop() == 0
        assert not worker.children()
    row = get(deaf.database, released.id)
    assert (row.state, row.attempt, row.lease_until) == ("queued", 0, None)


@pytest.mark.parametrize(
    ("words", "variables", "sentence"),
    [
        (["--queues", "cpu,tpu"], {}, "['tpu'] is not known; allowed are cpu, gpu"),
        (["--queues", ","], {}, "',' is not known; allowed are cpu, gpu"),
        ([], {"NCMIX_DEVICE": "tpu"}, "NCMIX_DEVICE is 'tpu'; allowed are auto, cpu, cuda."),
    ],
)
def test_what_cannot_be_used_ends_it_with_a_sentence(
    tmp_path: Path, words: list[str], variables: dict[str, str], sentence: str
) -> None:
    environment = {**os.environ, "NCMIX_HOME": str(tmp_path), **variables}
    command = [sys.executable, "-m", "worker", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_an_idle_worker_hears_a_hint_at_once(service: Service) -> None:
    """Long before it would have looked for itself; and it leaves at once, before its child has loaded PyTorch."""
    with Worker({**service.environment, "NCMIX_POLL_SECONDS": "1000"}, "--queues", "cpu") as worker:
        wait_for(lambda: "serves the queues cpu" in worker.log and "ready." in worker.log, "The start", PATIENCE)
        experiment = service.submit()
        service.wait(experiment, lambda e: e.state == "running", "The claim")
        assert worker.stop() == 0
    assert get(service.database, experiment.id).state == "queued"
