"""What a run puts on record: progress, epochs and output, one value a name, and nothing that JSON cannot hold."""

import json
import math

import pytest

from ncmix.jobs import lifecycle, queries, recording
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, LeaseLostError
from ncmix.jobs.tables import LOG_CHUNK_BYTES
from ncmix.results import Metric, MetricRow, Snapshot, Tick
from tests.jobs.helpers import claim, get, submit
from tests.snapshots import snapshot
from tests.toys import toy


@pytest.fixture
def lease(database: Database, settings: Settings) -> Lease:
    """The lease on a running experiment of ten epochs."""
    submit(database, toy(epochs=10))
    return claim(database, settings).lease


def test_an_epoch_becomes_rows_and_the_latest_values(database: Database, lease: Lease) -> None:
    recording.record(database, lease, snapshot(3))
    row = get(database, lease.experiment_id)
    assert (row.epoch, row.step, row.progress) == (3, 0, 0.3)
    assert row.latest == {
        "running": {"loss": 0.25},
        "train": {"nc1": None, "accuracy": 0.03},
        "test": {"accuracy": 0.03},
    }
    with database.reading() as session:
        rows = queries.metrics(session, lease.experiment_id)
    assert rows == [
        MetricRow(3, "running", "loss", 0.25),
        MetricRow(3, "test", "accuracy", 0.03),
        MetricRow(3, "train", "accuracy", 0.03),
        MetricRow(3, "train", "nc1", None, "the class means span no plane"),
    ]


def test_the_latest_values_stay_through_epochs_that_are_not_measured(database: Database, lease: Lease) -> None:
    recording.record(database, lease, snapshot(1))
    recording.record(database, lease, Snapshot(2, (Metric("running", "loss", 0.1),)))
    latest = get(database, lease.experiment_id).latest
    assert latest["running"] == {"loss": 0.1}
    assert latest["test"] == {"accuracy": 0.01}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_null(database: Database, lease: Lease, value: float) -> None:
    metric = Metric("train", "nc1", 1.0)
    object.__setattr__(metric, "value", value)  # A metric refuses it too; the edge does not rely on that.
    recording.record(database, lease, Snapshot(1, (metric,)))
    row = get(database, lease.experiment_id)
    assert json.dumps(row.latest, allow_nan=False) == '{"train": {"nc1": null}}'
    with database.reading() as session:
        assert queries.metrics(session, row.id) == [MetricRow(1, "train", "nc1", None)]


def test_recording_an_epoch_again_replaces_it(database: Database, lease: Lease) -> None:
    """So a commit whose answer was lost can be repeated."""
    for _ in range(2):
        recording.record(database, lease, snapshot(1))
    with database.reading() as session:
        assert len(queries.metrics(session, lease.experiment_id)) == 4


def test_progress_counts_the_epochs_done_and_the_batches_of_the_next(database: Database, lease: Lease) -> None:
    recording.record(database, lease, snapshot(1, seconds=2.0))
    with database.transaction() as session:
        recording.progress(session, lease, Tick(2, 5, 10))
    row = get(database, lease.experiment_id)
    assert (row.epoch, row.step, row.steps, row.progress) == (1, 5, 10, pytest.approx(0.15))
    assert row.eta_seconds == pytest.approx(8.5 * 2.0)


def test_the_pace_follows_the_newest_epochs(database: Database, lease: Lease) -> None:
    for epoch, seconds in enumerate([9.0, 4.0, 8.0]):
        recording.record(database, lease, snapshot(epoch, seconds=seconds))
    # Epoch 0 trains nothing and says nothing about the pace.
    assert get(database, lease.experiment_id).epoch_seconds == pytest.approx(5.0)


def test_progress_without_the_lease_is_refused(database: Database, lease: Lease) -> None:
    with pytest.raises(LeaseLostError), database.transaction() as session:
        recording.progress(session, Lease(lease.experiment_id, lease.fence + 1), Tick(1, 1, 1))


class TestTheLog:
    """Bytes in order; a reader goes on where it stopped and is told when nothing will follow."""

    def test_is_read_on_from_any_byte(self, database: Database, lease: Lease) -> None:
        whole = b"one\ntwo\n" + "grüße\n".encode() + bytes(range(256))
        for start in range(0, len(whole), 7):
            with database.transaction() as session:
                recording.append_log(session, lease, whole[start : start + 7])
        with database.reading() as session:
            for offset in (0, 1, 7, 20, len(whole)):
                part = queries.log(session, lease.experiment_id, offset)
                assert (part.data, part.next_offset, part.ended) == (whole[offset:], len(whole), False)
            short = queries.log(session, lease.experiment_id, 5, limit=10)
        assert (short.data, short.next_offset) == (whole[5:15], 15)

    def test_is_cut_into_small_rows(self, database: Database, lease: Lease) -> None:
        whole = b"x" * (2 * LOG_CHUNK_BYTES) + b"end"
        with database.transaction() as session:
            recording.append_log(session, lease, whole)
        with database.reading() as session:
            assert queries.log(session, lease.experiment_id).data == whole
            assert queries.log(session, lease.experiment_id, 2 * LOG_CHUNK_BYTES - 1).data == b"xend"

    def test_ends_with_the_experiment(self, database: Database, settings: Settings, lease: Lease) -> None:
        with database.transaction() as session:
            recording.append_log(session, lease, b"bye\n")
            lifecycle.finish(session, lease)
        with database.reading() as session:
            assert queries.log(session, lease.experiment_id, 0, limit=2).ended is False
            assert queries.log(session, lease.experiment_id, 2).ended is True
            assert queries.log(session, lease.experiment_id, 99).data == b""
