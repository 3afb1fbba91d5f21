"""Bulky parts of experiments that ended go when the policy says so, oldest first; what was measured stays."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import func, select, update

from ncmix.jobs import checkpoints, duties, idempotency, lifecycle, queries, recording
from ncmix.jobs.database import Database, now
from ncmix.jobs.retention import Expired, expire
from ncmix.jobs.service_tables import Idempotency
from ncmix.jobs.settings import Keep, Settings, SettingsError
from ncmix.jobs.tables import CheckpointFile, Experiment, FeatureSet
from ncmix.results import ArraySet
from tests.jobs.helpers import claim, get, submit
from tests.snapshots import snapshot
from tests.toys import toy

SET_BYTES = 100 * 4 * 4


def ended(database: Database, settings: Settings, seed: int, days: float) -> str:
    """An experiment with a checkpoint, a log, an epoch and two sets of features, which ended so many days ago."""
    experiment = submit(database, toy(seed=seed)).id
    lease = claim(database, settings).lease
    rows = {"h": np.zeros((100, 4), np.float32)}
    recording.record(database, lease, snapshot(1, (ArraySet("train", rows), ArraySet("test", rows))))
    (settings.checkpoint_dir / experiment).mkdir(parents=True)
    (settings.checkpoint_dir / experiment / "epoch-000001.pt").write_bytes(b"1234")
    with database.transaction() as session:
        checkpoints.record(session, lease, checkpoints.File("epoch-000001.pt", 1, 0, "0" * 64, 4), 1)
        recording.append_log(session, lease, b"epoch 1\n")
        lifecycle.finish(session, lease)
        session.execute(update(Experiment).where(Experiment.id == experiment).values(finished=now() - days * 86400))
    return experiment


def left(database: Database, settings: Settings) -> dict[str, tuple[bool, int, int, bool]]:
    """Of every experiment: whether it has checkpoints, its sets, its log's bytes, whether its folder is there."""
    with database.reading() as session:
        ids = list(session.scalars(select(Experiment.id).order_by(Experiment.finished)))
        count = select(func.count()).select_from(FeatureSet)
        return {
            i: (
                session.scalar(select(CheckpointFile.path).where(CheckpointFile.experiment_id == i)) is not None,
                session.scalars(count.where(FeatureSet.experiment_id == i)).one(),
                len(queries.log(session, i).data),
                (settings.checkpoint_dir / i).exists(),
            )
            for i in ids
        }


@pytest.fixture
def three(database: Database, settings: Settings) -> list[str]:
    """Experiments that ended ten, five and one days ago."""
    return [ended(database, settings, seed, days) for seed, days in enumerate((10, 5, 1))]


WHOLE = (True, 2, 8, True)


@pytest.mark.parametrize(
    ("keep", "expected", "expired"),
    [
        (Keep(), [WHOLE, WHOLE, WHOLE], Expired()),
        (Keep(checkpoint_days=7), [(False, 2, 8, False), WHOLE, WHOLE], Expired(checkpoints=1)),
        (Keep(log_days=3), [(True, 2, 0, True), (True, 2, 0, True), WHOLE], Expired(logs=2)),
        (Keep(feature_days=7), [(True, 0, 8, True), WHOLE, WHOLE], Expired(sets=2, set_bytes=2 * SET_BYTES)),
        (
            Keep(feature_bytes=3 * SET_BYTES),
            [(True, 0, 8, True), (True, 1, 8, True), WHOLE],
            Expired(sets=3, set_bytes=3 * SET_BYTES),
        ),
        (Keep(0, 0, 1, 0), [(False, 0, 0, False)] * 3, Expired(3, 3, 6, 6 * SET_BYTES)),
    ],
)
def test_what_is_kept_no_longer_goes_and_nothing_else(
    database: Database, settings: Settings, three: list[str], keep: Keep, expected: list, expired: Expired
) -> None:
    before = {i: get(database, i).revision for i in three}
    assert expire(database, settings, keep) == expired
    found = left(database, settings)
    assert [found[i] for i in three] == expected
    for i, now_left in found.items():
        # Pictures drawn of what has gone are not given any more; metrics stay.
        assert (get(database, i).revision > before[i]) == (now_left != WHOLE)
        with database.reading() as session:
            assert len(queries.metrics(session, i)) == 4
            assert queries.log(session, i).ended
    assert expire(database, settings, keep) == Expired()


def test_what_runs_is_left_alone(database: Database, settings: Settings) -> None:
    experiment = submit(database, toy()).id
    lease = claim(database, settings).lease
    recording.record(database, lease, snapshot(1, (ArraySet("train", {"h": np.zeros((100, 4), np.float32)}),)))
    assert expire(database, settings, Keep(0, 0, 1, 0)) == Expired()
    assert left(database, settings)[experiment][1] == 1


def test_one_process_applies_the_policy(database: Database, settings: Settings, three: list[str]) -> None:
    with database.transaction() as session:
        idempotency.recall(session, "old", "0" * 64)
        session.execute(update(Idempotency).values(created=now() - 2 * idempotency.KEPT_SECONDS))
    strict = replace(settings, keep=Keep(log_days=7))
    assert duties.keep(database, strict, "one") == Expired(logs=1)
    assert duties.keep(database, strict, "other") is None
    assert duties.keep(database, strict, "one") == Expired()
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Idempotency)) == 0


def test_the_disk_has_its_room_back(embedded_environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncmix.jobs.database._PAGES_AT_ONCE", 100)
    settings = Settings.from_environment(embedded_environment)
    database, file = Database(settings.database_url), Path(settings.database_url.removeprefix("sqlite:///"))
    submit(database, toy())
    lease = claim(database, settings).lease
    rows = {"h": np.random.default_rng(0).random((4000, 500), np.float32)}
    recording.record(database, lease, snapshot(1, (ArraySet("train", rows),)))
    with database.transaction() as session:
        lifecycle.finish(session, lease)
    with database.engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    before = file.stat().st_size
    assert expire(database, settings, Keep(feature_days=0)).set_bytes == 8_000_000
    assert file.stat().st_size < before - 7_000_000
    database.dispose()


@pytest.mark.parametrize(
    ("name", "value"),
    [("NCMIX_KEEP_LOG_DAYS", "-1"), ("NCMIX_KEEP_FEATURE_DAYS", "soon"), ("NCMIX_KEEP_FEATURE_BYTES", "1e9")],
)
def test_a_policy_that_cannot_be_meant_is_refused(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        Settings.from_environment({name: value})
