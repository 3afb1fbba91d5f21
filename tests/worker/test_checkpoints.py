"""What becomes of an experiment whose worker dies or stops: it goes on, and its numbers are those of a quiet run."""

import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from ncmix.jobs import lifecycle, queries
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.tables import CheckpointFile, Event, Experiment
from ncmix.results import MetricRow, Snapshot, rows_of
from ncmix.spec import Spec, extended
from ncmix.train import run
from tests.jobs.helpers import claim, get, submit
from tests.servers import Worker, wait_for
from tests.toys import toy
from worker.outcome import Outcome
from worker.training import train

PATIENCE = 90.0
MANY: dict[str, Any] = {
    "mix": "mixup",
    "optimizer": "adam",
    "epochs": 400,
    "measure": {"epochs": {"every": 40}, "geometry": None},
}
# An epoch of seconds, in whose midst it can be stopped.
LONG: dict[str, Any] = {
    "dataset": {"kind": "gaussian", "classes": 3, "dim": 4, "train_per_class": 15_000, "test_per_class": 10},
    "mix": "mixup",
    "epochs": 2,
}


def quiet(spec: Spec, settings: Settings) -> set[MetricRow]:
    """The numbers of a run that nobody disturbs."""
    return set(rows_of([item for item in run(spec, "cpu", settings.data) if isinstance(item, Snapshot)]))


def metrics(database: Database, experiment_id: str) -> list[MetricRow]:
    """The numbers on record."""
    with database.reading() as session:
        return queries.metrics(session, experiment_id)


def files(database: Database, experiment_id: str) -> list[CheckpointFile]:
    """The checkpoints on record, the furthest first."""
    query = select(CheckpointFile).where(CheckpointFile.experiment_id == experiment_id)
    with database.reading() as session:
        return sorted(session.scalars(query), key=lambda f: (f.epoch, f.step), reverse=True)


def resumed(database: Database, experiment_id: str) -> list[tuple[int, int]]:
    """From where it went on, each time."""
    query = select(Event).where(Event.experiment_id == experiment_id, Event.kind == "resumed").order_by(Event.id)
    with database.reading() as session:
        return [(event.data["epoch"], event.data["step"]) for event in session.scalars(query)]


@pytest.fixture
def settings(service_environment: dict[str, str]) -> Settings:
    """Those of a whole service, on each kind of database and broker."""
    return Settings.from_environment(service_environment)


def ended(database: Database, experiment: Experiment) -> Experiment:
    """The experiment once it has ended."""
    wait_for(lambda: get(database, experiment.id).finished, "The end", PATIENCE)
    return get(database, experiment.id)


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "damaged"])
def test_killed_in_the_middle_it_goes_on_bit_for_bit(
    database: Database, settings: Settings, service_environment: dict[str, str], damaged: bool
) -> None:
    """From its newest checkpoint, or the one before where that is damaged; half-written files are swept."""
    experiment = submit(database, toy(**MANY))
    with Worker(service_environment) as first:
        wait_for(lambda: len(files(database, experiment.id)) == 2, "The second checkpoint", PATIENCE)
        first.kill()
        wait_for(lambda: not first.children(), "The end of the child")
    newest, before = files(database, experiment.id)
    part = settings.checkpoint_dir / experiment.id / ".epoch-000399.pt.123.part"
    part.write_bytes(bytes(2**20))
    if damaged:
        path = settings.checkpoint_dir / newest.path
        path.write_bytes(path.read_bytes()[:-1])
    with Worker(service_environment) as second:
        row = ended(database, experiment)
        assert second.stop() == 0
    assert (row.state, row.attempt) == ("succeeded", 2)
    start = before if damaged else newest
    assert resumed(database, experiment.id) == [(start.epoch, start.step)]
    rows = metrics(database, experiment.id)
    assert len(rows) == len(set(rows))
    assert set(rows) == quiet(toy(**MANY), settings)
    (last,) = files(database, experiment.id)
    assert (last.epoch, last.step) == (400, 0)
    assert [p.name for p in part.parent.iterdir()] == [Path(last.path).name]
    with database.reading() as session:
        log = queries.log(session, experiment.id).data.decode()
    assert ("is damaged" in log) == damaged


@pytest.mark.long
@pytest.mark.timeout(300)
def test_stopped_in_the_midst_of_an_epoch_it_goes_on_with_the_next_batch_uncharged(
    database: Database, settings: Settings, service_environment: dict[str, str]
) -> None:
    experiment = submit(database, toy(**LONG))
    with Worker(service_environment) as first:
        wait_for(lambda: _amid(get(database, experiment.id)), "Some batches of an epoch", PATIENCE)
        assert first.stop() == 0
        assert not first.children()
    row, saved = get(database, experiment.id), files(database, experiment.id)[0]
    assert (row.state, row.attempt, row.lease_until) == ("queued", 0, None)
    assert saved.step > 0
    assert (settings.checkpoint_dir / saved.path).stat().st_size == saved.size
    with Worker(service_environment) as second:
        row = ended(database, experiment)
        assert second.stop() == 0
    assert (row.state, row.attempt, row.fence) == ("succeeded", 1, 2)
    assert resumed(database, experiment.id) == [(saved.epoch, saved.step)]
    assert set(metrics(database, experiment.id)) == quiet(toy(**LONG), settings)


def _amid(experiment: Experiment) -> bool:
    """Whether an epoch is under way; measuring the untrained network looks like one whose batches are all done."""
    return 0 < experiment.step < experiment.steps


class TestTheChild:
    """The same without a process around it."""

    @pytest.fixture
    def settings(self, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
        """The child reads its settings itself."""
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return Settings.from_environment(environment)

    def _finish(self, database: Database, settings: Settings, spec: Spec) -> str:
        experiment = submit(database, spec)
        lease = claim(database, settings).lease
        assert train(lease, threading.Event()) == Outcome("finished")
        with database.transaction() as session:
            lifecycle.finish(session, lease)
        return experiment.id

    def test_without_a_usable_checkpoint_it_begins_anew(self, database: Database, settings: Settings) -> None:
        submit(database, toy(mix="mixup"))
        lease = claim(database, settings).lease
        assert train(lease, threading.Event()) == Outcome("finished")
        for saved in files(database, lease.experiment_id):
            (settings.checkpoint_dir / saved.path).unlink()
        assert train(lease, threading.Event()) == Outcome("finished")
        assert resumed(database, lease.experiment_id) == []
        rows = metrics(database, lease.experiment_id)
        assert set(rows) == quiet(toy(mix="mixup"), settings)
        assert len(files(database, lease.experiment_id)) == 1

    def test_begun_again_at_its_very_end_it_has_finished(self, database: Database, settings: Settings) -> None:
        submit(database, toy())
        lease = claim(database, settings).lease
        for _ in range(2):
            assert train(lease, threading.Event()) == Outcome("finished")
        assert resumed(database, lease.experiment_id) == [(3, 0)]
        assert set(metrics(database, lease.experiment_id)) == quiet(toy(), settings)

    def test_an_extension_goes_on_where_its_parent_ended(self, database: Database, settings: Settings) -> None:
        parent = self._finish(database, settings, toy(mix="mixup"))
        long = extended(toy(mix="mixup"), 5)
        child = self._finish(database, settings, long)
        assert resumed(database, child) == [(3, 0)]
        whole = quiet(long.model_copy(update={"extends": None}), settings)
        assert set(metrics(database, child)) == whole
        with database.transaction() as session:
            lifecycle.delete(session, parent)
        assert set(metrics(database, child)) == whole

    def test_an_extension_of_what_is_gone_has_a_reason(self, database: Database, settings: Settings) -> None:
        submit(database, extended(toy(), 5))
        outcome = train(claim(database, settings).lease, threading.Event())
        assert outcome.reason is not None
        assert outcome.reason.code == "checkpoint_missing"
        assert f"goes on where run {toy().key[:12]}… ended" in outcome.reason.message

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Iterator[Path]:
        """A file system of 64 kB."""
        folder = tmp_path / "small"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
        if subprocess.run(mount, capture_output=True, check=False).returncode:
            pytest.skip("this user may mount nothing")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)  # noqa: S607

    def test_a_full_disk_is_a_reason_and_nothing_is_left_behind(
        self, database: Database, settings: Settings, small_disk: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("NCMIX_CHECKPOINT_DIR", str(small_disk))
        submit(database, toy(model={"kind": "mlp", "hidden": [4096]}))
        lease = claim(database, settings).lease
        outcome = train(lease, threading.Event())
        assert outcome.reason is not None
        assert outcome.reason.code == "disk_full"
        assert "No space left on device" in outcome.reason.message
        assert [p for p in small_disk.rglob("*") if p.is_file()] == []
        assert files(database, lease.experiment_id) == []
        assert {r.epoch for r in metrics(database, lease.experiment_id)} == {0, 1}
