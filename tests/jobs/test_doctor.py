"""The doctor names what is wrong, and the collector removes what nobody needs and nothing else."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import select, text, update

from ncmix.jobs import checkpoints, doctor, features, lifecycle
from ncmix.jobs.database import Database, now
from ncmix.jobs.leftovers import collect
from ncmix.jobs.settings import Keep, Settings
from ncmix.jobs.tables import CheckpointFile, Experiment, FeatureSet
from ncmix.results import ArraySet
from tests.jobs.helpers import claim, submit
from tests.servers import free_port
from tests.toys import toy


def found(settings: Settings, database: Database) -> list[str]:
    """What the doctor says, apart from the disk of this machine."""
    return [sentence for sentence in doctor.findings(settings, database) if "MiB left" not in sentence]


def test_a_healthy_service_has_no_findings(database: Database, settings: Settings) -> None:
    submit(database, toy())
    claim(database, settings)
    assert found(settings, database) == []


def test_each_thing_that_is_wrong_is_named(database: Database, settings: Settings) -> None:
    stale = submit(database, toy())
    claim(database, settings, "host:7")
    waiting = submit(database, toy(seed=1), queue="gpu")
    with database.transaction() as session:
        session.execute(update(Experiment).where(Experiment.id == stale.id).values(lease_until=now() - 100.0))
        session.execute(update(Experiment).where(Experiment.id == waiting.id).values(not_before=now() - 200.0))
    deaf = replace(settings, broker_url=f"redis://127.0.0.1:{free_port()}/0")
    said = found(deaf, database)
    assert len(said) == 3
    assert said[0].startswith("The broker does not answer")
    assert f"Experiment {stale.id} is running, but its lease by host:7 has run out" in said[1]
    assert said[2].startswith("1 experiments wait in the queue 'gpu' and none is running there")


def test_what_needs_more_gpus_than_any_slot_has_is_named(database: Database, settings: Settings) -> None:
    submit(database, toy(), queue="gpu")
    with database.transaction() as session:
        assert lifecycle.claim(session, ["gpu"], "host:7", settings) is not None
    wide = submit(database, toy(seed=1, devices=2), queue="gpu")
    with database.transaction() as session:
        session.execute(update(Experiment).where(Experiment.id == wide.id).values(not_before=now() - 200.0))
    (said,) = found(settings, database)
    assert said.startswith("An experiment waits for 2 devices and none is running that has so many")
    assert "NCMIX_SLOTS=0+1" in said


def _with_leftovers(database: Database, settings: Settings) -> str:
    """An experiment that has ended with a checkpoint, a set that was never completed, and a folder of nobody's."""
    experiment = submit(database, toy()).id
    lease = claim(database, settings).lease
    features.stage(database, lease, 1, ArraySet("train", {"h": np.zeros((4, 2), np.float32)}))
    file = checkpoints.File("epoch-000001.pt", 1, 0, "0" * 64, 4)
    for name in (experiment, "0" * 20, "not-ours"):
        (settings.checkpoint_dir / name).mkdir(parents=True)
        (settings.checkpoint_dir / name / file.name).write_bytes(b"1234")
    with database.transaction() as session:
        checkpoints.record(session, lease, file, 2)
        lifecycle.finish(session, lease)
    return experiment


def _folders(settings: Settings) -> set[str]:
    return {path.name for path in settings.checkpoint_dir.iterdir()}


def test_leftovers_are_found_and_removed_and_nothing_else(database: Database, settings: Settings) -> None:
    experiment = _with_leftovers(database, settings)
    assert [s.split(" of ")[0] for s in found(settings, database)] == ["1 folders", "1 sets"]
    collect(database, settings)
    assert found(settings, database) == []
    assert _folders(settings) == {experiment, "not-ours"}
    with database.reading() as session:
        assert session.scalars(select(FeatureSet)).all() == []
        assert len(session.scalars(select(CheckpointFile)).all()) == 1


def test_checkpoints_of_what_ended_long_ago_go_only_on_request(database: Database, settings: Settings) -> None:
    experiment = _with_leftovers(database, settings)
    collect(database, settings, Keep(checkpoint_days=1.0))
    assert experiment in _folders(settings)
    with database.transaction() as session:
        session.execute(update(Experiment).values(finished=now() - 2 * 86400))
    collect(database, settings, Keep(checkpoint_days=1.0))
    assert _folders(settings) == {"not-ours"}
    with database.reading() as session:
        assert session.scalars(select(CheckpointFile)).all() == []


def test_a_database_that_knows_none_of_the_folders_removes_none(database: Database, settings: Settings) -> None:
    (settings.checkpoint_dir / ("0" * 20)).mkdir(parents=True)
    collect(database, settings)
    assert _folders(settings) == {"0" * 20}


def test_a_checkpoint_whose_file_is_gone_is_named(database: Database, settings: Settings) -> None:
    experiment = _with_leftovers(database, settings)
    (settings.checkpoint_dir / experiment / "epoch-000001.pt").unlink()
    assert any(s.startswith("1 checkpoints on record have no file") for s in found(settings, database))


def test_sqlite_gives_back_what_was_deleted(sqlite_url: str, settings: Settings, tmp_path: Path) -> None:
    database = Database(sqlite_url)
    experiment = submit(database, toy())
    lease = claim(database, settings).lease
    features.stage(database, lease, 1, ArraySet("train", {"h": np.ones((2000, 1000), np.float32)}))
    with database.transaction() as session:
        lifecycle.finish(session, lease)
        lifecycle.delete(session, experiment.id)
    with database.reading() as session:
        before = session.scalars(text("PRAGMA page_count")).one()
    database.give_back()
    with database.reading() as session:
        assert session.scalars(text("PRAGMA page_count")).one() < before / 4
    database.dispose()


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["doctor"], 0, "All is well."),
        (["doctor", "--json"], 0, '{\n  "findings": []\n}'),
        (["gc"], 0, "Removed: 0 folders"),
        (["gc", "--json"], 0, '"removed": {\n    "folders": 0,'),
    ],
)
def test_the_commands(embedded_environment: dict[str, str], words: list[str], status: int, said: str) -> None:
    command = [sys.executable, "-m", "ncmix.cli", "jobs", *words]
    done = subprocess.run(
        command, env={**os.environ, **embedded_environment}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, said in done.stdout + done.stderr) == (status, True), done.stdout + done.stderr


def test_the_doctor_says_that_there_is_no_schema(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ncmix.cli", "jobs", "doctor"]
    done = subprocess.run(
        command, env={**os.environ, "NCMIX_HOME": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "run python -m ncmix.jobs.migrate" in done.stdout
    assert "Traceback" not in done.stderr
