"""What the child does, without the process around it: train, record, stop when told, say why it failed."""

import errno
import threading
from dataclasses import replace

import pytest
import torch
from sqlalchemy import update

from ncmix.datasets.base import DataError
from ncmix.jobs import queries
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, LeaseLostError
from ncmix.jobs.tables import Experiment
from ncmix.results import rows_of
from ncmix.train import run
from tests.jobs.helpers import claim, get, submit
from tests.toys import toy
from worker.outcome import Outcome, read, write
from worker.training import reason_of, train


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    """The child reads its settings itself."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def _lease(database: Database, settings: Settings, **changes) -> Lease:
    submit(database, toy(**changes))
    return claim(database, settings).lease


def test_every_number_and_every_array_of_a_run_is_on_record(database: Database, settings: Settings) -> None:
    lease = _lease(database, settings)
    assert train(lease, threading.Event()) == Outcome("finished")
    expected = list(run(toy(), "cpu", settings.data))
    snapshots = [item for item in expected if hasattr(item, "metrics")]
    with database.reading() as session:
        rows = queries.metrics(session, lease.experiment_id)
        kept = [(s.epoch, s.name, s.rows) for s in queries.feature_sets(session, lease.experiment_id)]
    # Bit for bit: the record loses nothing, and a second run on the CPU is the same run.
    assert set(rows) == set(rows_of(snapshots))
    assert {(3, "train", 120), (3, "test", 30)} <= set(kept)
    row = get(database, lease.experiment_id)
    assert (row.epoch, row.state) == (3, "running")  # Its end is for the supervisor to write.


def test_told_to_stop_it_stops_before_the_end(database: Database, settings: Settings) -> None:
    lease, stop = _lease(database, settings, epochs=1000), threading.Event()
    stop.set()
    assert train(lease, stop) == Outcome("stopped")


def test_told_to_stop_when_all_is_done_it_has_finished(database: Database, settings: Settings) -> None:
    lease = _lease(database, settings, epochs=1, measure={"epochs": "last", "splits": ["train"], "geometry": None})

    class LateStop(threading.Event):
        """Set from the moment the only epoch is on record."""

        def is_set(self) -> bool:
            return get(database, lease.experiment_id).epoch == 1

    assert train(lease, LateStop()) == Outcome("finished")


@pytest.mark.parametrize(
    ("changes", "code", "sentence"),
    [
        ({"dataset": {"kind": "image_folder", "name": "nowhere"}}, "data_missing", "nowhere"),
        (
            {"optimizer": {"kind": "sgd", "lr": 1e30}, "epochs": 50},
            "diverged",
            "The training diverged: the loss of epoch",
        ),
    ],
)
def test_a_failure_has_a_reason(
    database: Database, settings: Settings, changes: dict, code: str, sentence: str
) -> None:
    outcome = train(_lease(database, settings, **changes), threading.Event())
    assert outcome.kind == "failed"
    assert outcome.reason is not None
    assert outcome.reason.code == code
    assert sentence in outcome.reason.message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("NCMIX_DEVICE", "cuda", "The device 'cuda' was asked for, but PyTorch sees no GPU here ("),
        pytest.param(
            "CUDA_VISIBLE_DEVICES",
            "GPU-aaaa-1",
            "This slot has GPU GPU-aaaa-1, but PyTorch cannot use it: ",
            marks=pytest.mark.skipif(not torch.backends.cuda.is_built(), reason="PyTorch is built for the CPU"),
        ),
    ],
)
def test_what_is_to_be_on_a_gpu_does_not_train_on_the_cpu_unseen(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, sentence: str
) -> None:
    """As the worker is told, or as its slot has one; a spec may still ask for the CPU."""
    monkeypatch.setenv(variable, value)
    outcome = train(_lease(database, settings), threading.Event())
    assert outcome.reason is not None
    assert outcome.reason.code == "device_missing"
    assert outcome.reason.message.startswith(sentence)
    assert train(_lease(database, settings, device="cpu", epochs=1), threading.Event()).kind == "finished"


def test_a_spec_from_another_time_is_named_invalid(database: Database, settings: Settings) -> None:
    lease = _lease(database, settings)
    with database.transaction() as session:
        session.execute(update(Experiment).values(spec={"dataset": "gaussian", "epochs": -1}))
    outcome = train(lease, threading.Event())
    assert outcome.reason is not None
    assert outcome.reason.code == "spec_invalid"


def test_without_the_lease_it_trains_nothing(database: Database, settings: Settings) -> None:
    lease = _lease(database, settings)
    with pytest.raises(LeaseLostError):
        train(replace(lease, fence=7), threading.Event())


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (DataError("The pictures are gone."), "data_missing", "The pictures are gone."),
        (torch.OutOfMemoryError("CUDA out of memory.\nMore"), "oom", "Memory ran out: CUDA out of memory."),
        (MemoryError(), "oom", "Memory ran out: MemoryError"),
        (OSError(errno.ENOSPC, "No space left"), "disk_full", "The disk is full: [Errno 28] No space left"),
        (KeyError("x"), "error", "The training failed: KeyError: 'x'"),
    ],
)
def test_reasons(error: Exception, code: str, sentence: str) -> None:
    reason = reason_of(error)
    assert (reason.code, reason.message) == (code, sentence)


@pytest.mark.parametrize("outcome", [Outcome("finished"), Outcome("failed", reason_of(MemoryError()))])
def test_an_outcome_survives_the_pipe_or_is_none(outcome: Outcome) -> None:
    said = write(outcome)
    assert read(said) == outcome
    assert [read(said[:n]) for n in range(len(said))] == [None] * len(said)
