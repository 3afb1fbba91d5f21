"""Checkpoints on record: one row a place, the furthest two kept, and what an attempt drops that goes on from one."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from ncmix.jobs import checkpoints, features, lifecycle, queries, recording
from ncmix.jobs.checkpoints import File
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, LeaseLostError, Reason
from ncmix.jobs.tables import CheckpointFile, Event, FeatureSet, MetricValue
from ncmix.spec import extended
from tests.jobs.helpers import claim, get, submit
from tests.snapshots import probe, snapshot
from tests.toys import toy


@pytest.fixture
def lease(database: Database, settings: Settings) -> Lease:
    """The lease on a running experiment."""
    submit(database, toy(epochs=10))
    return claim(database, settings).lease


def file(epoch: int, step: int = 0, digest: str = "0") -> File:
    """A checkpoint's file, without the file."""
    return File(f"epoch-{epoch}-step-{step}-{digest}.pt", epoch, step, digest * 64, 1000)


def put(database: Database, lease: Lease, *files: File, keep: int = 2) -> frozenset[str]:
    """Put them on record one after the other; gives what may stay after the last."""
    kept: frozenset[str] = frozenset()
    for one in files:
        with database.transaction() as session:
            kept = checkpoints.record(session, lease, one, keep)
    return kept


def rows(database: Database, experiment_id: str) -> list[CheckpointFile]:
    """What the experiment can go on from."""
    with database.reading() as session:
        return checkpoints.usable(session, queries.get(session, experiment_id))


def begin(database: Database, lease: Lease, start: CheckpointFile | None) -> frozenset[str]:
    """Begin in a transaction of its own."""
    with database.transaction() as session:
        return checkpoints.begin(session, lease, start)


def epochs(database: Database, experiment_id: str) -> tuple[list[int], list[tuple[int, str]]]:
    """Of which epochs there are metrics, and feature sets, complete or not."""
    with database.reading() as session:
        values = set(session.scalars(select(MetricValue.epoch).where(MetricValue.experiment_id == experiment_id)))
        sets = select(FeatureSet.epoch, FeatureSet.state).where(FeatureSet.experiment_id == experiment_id)
        return sorted(values), sorted((e, s) for e, s in session.execute(sets))


def test_the_furthest_two_are_kept_and_the_best_comes_first(database: Database, lease: Lease) -> None:
    kept = put(database, lease, file(1), file(2), file(2, step=7), file(3))
    assert kept == {file(3).name, file(2, step=7).name}
    found = rows(database, lease.experiment_id)
    assert [(r.epoch, r.step) for r in found] == [(3, 0), (2, 7)]
    assert found[0].path == f"{lease.experiment_id}/{file(3).name}"
    assert found[0].created > 1e9


def test_a_place_has_one_row_and_the_end_one_file(database: Database, lease: Lease) -> None:
    put(database, lease, file(1), file(2), file(2, digest="f"))
    assert [(r.epoch, r.sha256[0]) for r in rows(database, lease.experiment_id)] == [(2, "f"), (1, "0")]
    assert put(database, lease, file(10), keep=1) == {file(10).name}
    assert len(rows(database, lease.experiment_id)) == 1


def test_without_the_lease_nothing_is_written_or_dropped(database: Database, lease: Lease) -> None:
    put(database, lease, file(1))
    recording.record(database, lease, snapshot(2))
    zombie = replace(lease, fence=lease.fence - 1)
    with pytest.raises(LeaseLostError):
        put(database, zombie, file(5), keep=1)
    with pytest.raises(LeaseLostError):
        begin(database, zombie, None)
    assert [r.epoch for r in rows(database, lease.experiment_id)] == [1]
    assert epochs(database, lease.experiment_id)[0] == [2]


def test_going_on_drops_what_is_later(database: Database, lease: Lease) -> None:
    for epoch in range(5):
        recording.record(database, lease, snapshot(epoch, (probe().to_set(),)))
    features.stage(database, lease, 2, replace(probe().to_set(), name="train"))  # was being written when it ended
    put(database, lease, file(2), file(2, step=3), file(4), keep=3)
    start = rows(database, lease.experiment_id)[1]
    assert begin(database, lease, start) == {file(2).name, file(2, step=3).name}
    assert epochs(database, lease.experiment_id) == ([0, 1, 2], [(e, "complete") for e in (0, 1, 2)])
    row = get(database, lease.experiment_id)
    assert (row.epoch, row.step, row.epoch_seconds) == (2, 3, 0.5)
    assert row.latest["test"] == {"accuracy": 0.02}
    assert row.latest["train"] == {"nc1": None, "accuracy": 0.02}
    with database.reading() as session:
        (event,) = session.scalars(select(Event).where(Event.kind == "resumed"))
        assert event.data == {"epoch": 2, "step": 3}
    # One value a key: the next epoch takes its place as if there had never been another.
    recording.record(database, lease, snapshot(3))
    assert epochs(database, lease.experiment_id)[0] == [0, 1, 2, 3]


def test_beginning_anew_drops_everything(database: Database, lease: Lease) -> None:
    for epoch in (0, 1):
        recording.record(database, lease, snapshot(epoch, (probe().to_set(),)))
    put(database, lease, file(1))
    assert begin(database, lease, None) == frozenset()
    assert epochs(database, lease.experiment_id) == ([], [])
    row = get(database, lease.experiment_id)
    assert (row.epoch, row.step, row.latest, row.epoch_seconds) == (0, 0, {}, None)


def test_an_extension_goes_on_from_its_parents_end_and_takes_over_its_metrics(
    database: Database, settings: Settings, lease: Lease
) -> None:
    parent = toy(epochs=10)
    for epoch in range(11):
        recording.record(database, lease, snapshot(epoch))
    put(database, lease, file(9), file(10))
    with database.transaction() as session:
        lifecycle.finish(session, lease)
    child = submit(database, extended(parent, 12))
    own = claim(database, settings).lease
    (start,) = rows(database, child.id)
    assert (start.experiment_id, start.epoch) == (lease.experiment_id, 10)
    for _ in range(2):  # killed before its first own checkpoint, it begins there again
        assert begin(database, own, start) == frozenset()
        assert epochs(database, child.id)[0] == list(range(11))
        recording.record(database, own, snapshot(11))
    row = get(database, child.id)
    assert (row.epoch, row.latest["test"]) == (11, {"accuracy": 0.11})
    put(database, own, file(11))
    first, second = rows(database, child.id)
    assert (first.experiment_id, second.experiment_id) == (child.id, lease.experiment_id)
    assert epochs(database, lease.experiment_id)[0] == list(range(11))


def test_a_deleted_experiment_loses_its_rows_and_its_files(database: Database, lease: Lease, tmp_path: Path) -> None:
    put(database, lease, file(1))
    for name in (lease.experiment_id, "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / file(1).name).touch()
    with database.transaction() as session:
        lifecycle.fail(session, lease, Reason("killed", "It was killed."))
        lifecycle.delete(session, lease.experiment_id)
    checkpoints.forget(tmp_path, lease.experiment_id)
    checkpoints.forget(tmp_path, lease.experiment_id)
    with database.reading() as session:
        assert session.scalars(select(CheckpointFile)).all() == []
    assert [p.name for p in tmp_path.iterdir() if p.name != "home"] == ["another"]
