"""Features in a folder or a bucket: the same rows and digests, other places for the bytes; nothing stays behind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from api.app import create
from ncmix.jobs import features, queries, recording
from ncmix.jobs.chunks import DamagedSetError
from ncmix.jobs.database import Database
from ncmix.jobs.leftovers import collect
from ncmix.jobs.objects import ObjectError, Objects
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease
from ncmix.jobs.tables import FeatureChunk
from ncmix.results import ArraySet
from tests.api.lives import Lives
from tests.jobs.helpers import claim, submit
from tests.servers import S3
from tests.snapshots import snapshot
from tests.toys import toy

H = np.random.default_rng(0).standard_normal((1500, 1024), np.float32)
KEPT = ArraySet("train", {"H": H, "y": np.arange(1500) % 10}, {"some": "fact"})


@pytest.fixture(params=["file", "s3"])
def settings(
    request: pytest.FixtureRequest, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Settings with an empty store of each kind."""
    if request.param == "file":
        return replace(settings, feature_store=f"file://{tmp_path}/some%20features", reap_seconds=3600.0)
    server: S3 = request.getfixturevalue("s3_server")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return replace(settings, feature_store=f"s3://features/{tmp_path.name}", reap_seconds=3600.0)


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """The record with that store."""
    opened = Database.of(settings)
    yield opened
    opened.dispose()


@pytest.fixture
def lease(database: Database, settings: Settings) -> Lease:
    """The lease on a running experiment."""
    submit(database, toy())
    return claim(database, settings).lease


def names(settings: Settings) -> list[str]:
    return sorted(Objects(settings.feature_store).names())


def test_the_bytes_are_in_the_store_and_all_else_in_the_record(
    database: Database, settings: Settings, lease: Lease
) -> None:
    recording.record(database, lease, snapshot(1, (KEPT,)))
    with database.reading() as session:
        back = queries.array_set(session, lease.experiment_id, 1, "train")
        rows = session.scalars(select(FeatureChunk)).all()
    assert back is not None
    np.testing.assert_array_equal(back.arrays["H"], H)
    assert back.facts == KEPT.facts
    assert [len(chunk.data) for chunk in rows] == [0, 0, 0]
    assert len(names(settings)) == 3
    assert all(name.startswith(f"{lease.experiment_id}/") for name in names(settings))


def test_the_service_gives_and_deletes_them_the_same_way(database: Database, settings: Settings) -> None:
    lives = Lives(database, settings)
    lease = lives.running()
    lives.keep(lease, 1, KEPT)
    here = f"/api/v1/experiments/{lives.finish(lease)}"
    with TestClient(create(settings), base_url="http://localhost") as client:
        whole = client.get(f"{here}/features/train.npy").content
        assert whole[128:] == H.tobytes()
        part = client.get(f"{here}/features/train.npy", headers={"Range": "bytes=5000000-5000999"})
        assert part.content == whole[5_000_000:5_001_000]
        assert client.delete(here).status_code == 204
    assert names(settings) == []


def test_what_belongs_to_no_row_is_swept_and_nothing_else(database: Database, settings: Settings, lease: Lease) -> None:
    recording.record(database, lease, snapshot(1, (KEPT,)))
    kept = names(settings)
    features.stage(database, lease, 2, KEPT)  # under way: it has rows already
    objects = Objects(settings.feature_store)
    objects.put(f"{lease.experiment_id}/0123456789abcdef/H-0000000000", b"of a set that was replaced")
    objects.put("0123456789abcdef0123/0123456789abcdef/H-0000000000", b"of an experiment that was deleted")
    objects.put("somebody/elses", b"not ours")
    assert len(collect(database, settings)[0].objects) == 2
    assert len(names(settings)) == 2 * len(kept) + 1
    assert collect(database, settings)[0].objects == []


def test_objects_that_are_gone_or_changed_are_a_sentence(database: Database, settings: Settings, lease: Lease) -> None:
    recording.record(database, lease, snapshot(1, (KEPT,)))
    objects = Objects(settings.feature_store)
    objects.put(names(settings)[0], b"\0" * 4 * 2**20)
    with database.reading() as session, pytest.raises(DamagedSetError, match=r"Rows 0 to 1023 of array 'H' .* SHA-256"):
        queries.array_set(session, lease.experiment_id, 1, "train")
    objects.forget(lease.experiment_id)
    with database.reading() as session, pytest.raises(ObjectError, match="cannot be read from"):
        queries.array_set(session, lease.experiment_id, 1, "train")
    plain = Database(settings.database_url)
    with plain.reading() as session, pytest.raises(DamagedSetError, match="NCMIX_FEATURE_STORE names none"):
        queries.array_set(session, lease.experiment_id, 1, "train")
    plain.dispose()


def test_a_store_that_does_not_answer_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ncmix.jobs.objects._RETRIES", {"max_retries": 0})
    for name, value in {"ENDPOINT_URL": "http://127.0.0.1:1", "ACCESS_KEY_ID": "x"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    objects = Objects("s3://features/x")
    with pytest.raises(ObjectError, match="a/b cannot be written to s3://features/x: Generic S3 error"):
        objects.put("a/b", b"1")
    with pytest.raises(ObjectError, match="cannot be listed"):
        list(objects.names())
    with pytest.raises(ObjectError, match=r"The feature store file:///proc/nowhere cannot be used"):
        Objects("file:///proc/nowhere")
