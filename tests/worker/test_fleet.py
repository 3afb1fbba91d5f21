"""Several slots of one machine: processes of their own that start again when they die and stop together."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncmix.jobs.database import Database
from tests.jobs.helpers import get, submit
from tests.servers import Worker, wait_for
from tests.toys import toy

PATIENCE = 90.0
ENDLESS = {"epochs": 1_000_000, "measure": {"epochs": "last", "geometry": None}}


@pytest.fixture
def fleet(embedded_environment: dict[str, str]) -> Iterator[Worker]:
    """A worker with two slots on the CPU."""
    with Worker({**embedded_environment, "NCMIX_SLOTS": "cpu,cpu"}) as worker:
        wait_for(lambda: worker.log.count("serves the queues cpu on the CPU") == 2, "The start of both", PATIENCE)
        yield worker


def slots(worker: Worker) -> list[int]:
    """The processes of the slots, without the pool processes below them."""
    assert worker.process is not None
    return [pid for pid in worker.children("--leash") if _parent(pid) == worker.process.pid]


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


@pytest.mark.timeout(300)
def test_slots_work_at_the_same_time_and_stop_together(fleet: Worker, sqlite_url: str) -> None:
    database = Database(sqlite_url)
    both = [submit(database, toy(seed=seed, **ENDLESS)).id for seed in range(2)]
    wait_for(lambda: [get(database, e).state for e in both] == ["running"] * 2, "Both running", PATIENCE)
    # An experiment runs from its claim on; its child is there a little later.
    children = wait_for(lambda: len(found := fleet.children()) == 2 and found, "Two children", PATIENCE)
    assert all(b"CUDA_VISIBLE_DEVICES=\0" in Path(f"/proc/{pid}/environ").read_bytes() for pid in children)
    assert fleet.stop() == 0
    assert [(get(database, e).state, get(database, e).attempt) for e in both] == [("queued", 0)] * 2
    assert not fleet.children("worker")
    database.dispose()


@pytest.mark.timeout(300)
def test_a_slot_that_dies_is_started_again_and_none_outlives_the_fleet(fleet: Worker) -> None:
    first, second = slots(fleet)
    os.kill(first, signal.SIGKILL)
    # The dying one may still be there at the first look.
    now = wait_for(lambda: len(there := {*slots(fleet)} - {first}) == 2 and there, "A new slot", PATIENCE)
    assert second in now
    assert "has ended with status -9" in fleet.log
    assert fleet.process is not None
    fleet.process.kill()
    wait_for(lambda: not fleet.children("--leash"), "The end of every slot", PATIENCE)
