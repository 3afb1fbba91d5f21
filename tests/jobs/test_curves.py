"""The curves of an experiment that is over lie in one piece each, and are what its rows are."""

from typing import Any

import numpy as np
import pytest
from sqlalchemy import delete, func, select

from ncmix.jobs import curves, lifecycle, queries, recording, runs
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.tables import Experiment, MetricCurve, MetricValue
from ncmix.results import Metric, Snapshot
from tests.jobs.helpers import claim, submit
from tests.toys import toy

NAMES = ("loss", "nc1")


def snapshot(epoch: int) -> Snapshot:
    """The loss of every epoch, and every third one's collapse, undefined at first."""
    loss = Metric("running", "loss", 1.0 / epoch)
    measured = [Metric(split, "nc1", None if epoch == 3 else 0.1 * epoch) for split in ("train", "test")]
    return Snapshot(epoch, (loss, *measured) if epoch % 3 == 0 else (loss,))


@pytest.fixture
def over(database: Database, settings: Settings) -> str:
    """The id of an experiment of nine epochs that has succeeded."""
    submit(database, toy(epochs=9))
    lease = claim(database, settings).lease
    for epoch in range(1, 10):
        recording.record(database, lease, snapshot(epoch))
    with database.transaction() as session:
        lifecycle.finish(session, lease)
    return lease.experiment_id


def read(database: Database, experiment_ids: list[str], most: int | None = None) -> list[dict[Any, Any]]:
    """What plots see: epochs and values of every curve."""
    with database.reading() as session:
        found = runs.recorded(session, [queries.get(session, i) for i in experiment_ids], NAMES, most)
        return [{key: (c.epochs.tolist(), c.values.tolist()) for key, c in run.curves.items()} for run in found]


def pieces(database: Database, experiment_id: str) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).where(MetricCurve.experiment_id == experiment_id)) or 0


@pytest.mark.parametrize("most", [None, 1])
def test_in_one_piece_they_are_the_same(database: Database, over: str, most: int | None, monkeypatch) -> None:
    monkeypatch.setattr(runs, "_FEWEST", 4)  # so that `most` leaves epochs out
    (of_rows,) = read(database, [over], most)
    curves.keep(database, over)
    assert pieces(database, over) == 3
    with database.transaction() as session:  # nobody looks at the rows any more
        session.execute(delete(MetricValue).where(MetricValue.name == "nc1"))
    (kept,) = read(database, [over], most)
    np.testing.assert_equal(kept, of_rows)
    epochs = [1, 4, 7, 9] if most else list(range(1, 10))
    assert kept["loss", "running"] == (epochs, [1.0 / epoch for epoch in epochs])
    at, values = kept["nc1", "test"]
    assert at == ([9] if most else [3, 6, 9])
    assert values[-1] == pytest.approx(0.9)


def test_runs_in_pieces_and_in_rows_are_read_together(database: Database, over: str, settings: Settings) -> None:
    curves.keep(database, over)
    submit(database, toy(epochs=9, seed=1))
    lease = claim(database, settings).lease
    recording.record(database, lease, snapshot(1))
    whole, begun = read(database, [over, lease.experiment_id])
    assert whole.keys() == {("loss", "running"), ("nc1", "train"), ("nc1", "test")}
    assert begun == {("loss", "running"): ([1], [1.0])}


def test_what_may_yet_change_is_not_put_in_one_piece(database: Database, settings: Settings) -> None:
    submit(database, toy(epochs=9))
    lease = claim(database, settings).lease
    recording.record(database, lease, snapshot(1))
    curves.keep(database, lease.experiment_id)
    assert pieces(database, lease.experiment_id) == 0


def test_they_are_kept_once_and_go_with_their_experiment(database: Database, over: str) -> None:
    for _ in range(2):
        curves.keep(database, over)
    assert pieces(database, over) == 3
    with database.transaction() as session:
        session.execute(delete(Experiment).where(Experiment.id == over))
    assert pieces(database, over) == 0
    curves.keep(database, over)
    assert pieces(database, over) == 0
