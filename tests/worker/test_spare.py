"""A child started ahead trains like any other: obeys, dies with its worker, sees its own GPU; and is there in time."""

import os
import signal
import threading
from pathlib import Path

import pytest

from ncmix.jobs import queries
from ncmix.jobs.states import Lease
from tests.faults.stage import PATIENCE, Stage
from tests.servers import Worker, wait_for
from worker.spare import Spare

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]
ENDLESS = {"epochs": 1_000_000, "measure": {"epochs": "last", "geometry": None}}


@pytest.fixture
def stage(embedded_environment: dict[str, str]):
    """A service whose slots keep spare children."""
    with Stage({**embedded_environment, "NCMIX_WARM": "1"}) as stage:
        yield stage


def ready(worker: Worker) -> int:
    """The spare child of a worker once it has loaded everything and waits.

    While PyTorch loads it runs other programs, which look like the child until they have begun.
    """

    def waits(pid: int) -> bool:
        folder = Path(f"/proc/{pid}")
        try:
            return "libtorch" in (folder / "maps").read_text() and "pipe" in (folder / "wchan").read_text()
        except OSError:
            return False

    (pid,) = wait_for(lambda: [pid for pid in worker.children() if waits(pid)], "The spare child", PATIENCE)
    return pid


def test_it_trains_what_comes_is_not_missed_and_dies_with_its_worker(stage: Stage) -> None:
    worker = stage.worker()
    first = ready(worker)
    assert b"CUDA_VISIBLE_DEVICES=\0" in Path(f"/proc/{first}/environ").read_bytes()
    experiment = stage.queue()
    stage.hint()
    ended = stage.end(experiment)
    assert (ended.state, ended.attempt) == ("succeeded", 1)
    assert "on cpu" in log(stage, experiment)
    assert "epoch 3 in" in log(stage, experiment)
    assert not Path(f"/proc/{first}").exists()
    second = ready(worker)
    os.kill(second, signal.SIGKILL)
    wait_for(lambda: dead(second), "The death of the spare", PATIENCE)
    other = stage.queue(seed=1)
    stage.hint()
    ended = stage.end(other)
    assert (ended.state, ended.attempt) == ("succeeded", 1)
    assert "the spare child has died" in worker.log
    third = ready(worker)
    worker.kill()
    wait_for(lambda: not Path(f"/proc/{third}").exists(), "The end of the spare", PATIENCE)


def dead(pid: int) -> bool:
    """Whether its last thread has ended, and with it the pipes are closed, also if nobody has asked for its status yet.

    Its memory goes first, and its first thread may go before the others: neither says that the pipes are closed.
    """
    folder = Path(f"/proc/{pid}")
    try:
        state = (folder / "stat").read_text().rpartition(")")[2].split()[0]
        return state == "Z" and len(list((folder / "task").iterdir())) == 1
    except OSError:
        return True


def log(stage: Stage, experiment: str) -> str:
    """What the child printed."""
    with stage.database.reading() as session:
        return queries.log(session, experiment).data.decode()


def test_at_work_it_is_cancelled_and_released_as_any_other(stage: Stage) -> None:
    worker = stage.worker()
    spare = ready(worker)
    experiment = stage.queue(**ENDLESS)
    stage.hint()
    stage.epoch(experiment, 2)
    assert worker.children() == [spare]
    stage.cancel(experiment)
    assert stage.end(experiment).state == "cancelled"
    assert not Path(f"/proc/{spare}").exists()
    second = stage.queue(seed=1, **ENDLESS)
    stage.epoch(second, 2)
    assert worker.stop() == 0
    row = stage.row(second)
    assert (row.state, row.attempt) == ("queued", 0)
    assert not worker.children()


def test_it_outlives_the_thread_that_asked_for_it() -> None:
    """The system kills a child when the thread is gone that started it."""
    spare = Spare({"NCMIX_HOME": "/nowhere"})
    asking = threading.Thread(target=spare.prepare)
    asking.start()
    asking.join()
    wait_for(lambda: spare._child, "The spare")
    child = spare.take(Lease("0" * 20, 1))
    assert child is not None
    with child:
        assert child.wait(0.5)
    assert spare.take(Lease("0" * 20, 1)) is None
    spare.close()
    spare.prepare()
    assert spare.take(Lease("0" * 20, 1)) is None
