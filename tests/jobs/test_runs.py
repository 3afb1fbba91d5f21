"""An experiment as a run: a plot reads of it what it shows, and no more."""

import pytest

from ncmix import plots
from ncmix.jobs import features, queries, recording, runs
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.plots import Options
from ncmix.results import Fetching, Snapshot
from tests.jobs.helpers import claim, submit
from tests.ncmix.plots import synthetic
from tests.toys import toy

EPOCHS = range(1, 9)


@pytest.fixture
def probed(database: Database, settings: Settings) -> str:
    """The id of an experiment with a probe at each epoch, of as many mixtures as that is."""
    submit(database, toy(epochs=8))
    lease = claim(database, settings).lease
    for epoch in EPOCHS:
        recording.record(database, lease, Snapshot(epoch, (), (synthetic.probe(per_pair=epoch).to_set(),)))
    return lease.experiment_id


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The epochs of the sets that were read, time by time."""
    seen: list[list[int]] = []
    whole = features.read_all

    def noted(session, kept):
        seen.append(sorted(each.epoch for each in kept))
        return whole(session, kept)

    monkeypatch.setattr(features, "read_all", noted)
    return seen


def test_a_probe_is_read_when_it_is_asked_for_and_once(database: Database, probed: str, read: list[list[int]]) -> None:
    with database.reading() as session:
        (run,) = runs.recorded(session, [queries.get(session, probed)], (), None)
        assert list(run.probes) == list(EPOCHS)
        assert not read
        assert len(run.probes[3].points) == 6 * 3 == len(run.probes[3].points)
        with pytest.raises(KeyError):
            run.probes[9]
    assert read == [[3], []]


def test_several_are_read_at_once_if_it_is_said_that_they_will_be_asked_for(
    database: Database, probed: str, read: list[list[int]]
) -> None:
    with database.reading() as session:
        (run,) = runs.recorded(session, [queries.get(session, probed)], (), None)
        assert isinstance(run.probes, Fetching)
        run.probes.fetch([2, 5, 99])
        run.probes.fetch([2])
        assert [len(run.probes[epoch].points) for epoch in (2, 5)] == [12, 30]
    assert read == [[2, 5]]


def test_sets_that_are_large_together_are_read_one_by_one(
    database: Database, probed: str, read: list[list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_TOGETHER", 100)
    with database.reading() as session:
        (run,) = runs.recorded(session, [queries.get(session, probed)], (), None)
        run.probes.fetch([2, 5])
        assert not read
        assert [len(run.probes[epoch].points) for epoch in (2, 5)] == [12, 30]
    assert read == [[2], [5]]


def test_a_grid_reads_the_epochs_it_shows_at_once_and_no_other(
    database: Database, probed: str, read: list[list[int]]
) -> None:
    with database.reading() as session:
        (run,) = runs.recorded(session, [queries.get(session, probed)], (), None)
        plots.last_layer_grid(run, Options(epochs=(1, 4, 8)))
    assert read == [[1, 4, 8]]
