"""How much room features will take is known when an experiment is submitted, and what has none is refused."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select

from api.app import create
from ncmix.jobs import queries, recording, room
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.tables import FeatureChunk, FeatureSet
from ncmix.spec import parse, workload
from ncmix.train import run
from tests.jobs.helpers import claim, submit
from tests.toys import toy

GAUSSIAN = {"kind": "gaussian", "classes": 3, "dim": 4, "train_per_class": 40, "test_per_class": 10}
PROBED = {"epochs": {"every": 1}, "geometry": {"per_pair": 20, "lambdas": 5}}

# What changes how much is kept; in the last both classes and directions are too many for every epoch.
KEPT = {
    "none": {"features": {"keep": "none"}},
    "last": {"features": {"keep": "last", "max_per_class": 7, "dtype": "float32"}},
    "measured": {"features": {"keep": "measured", "max_per_class": None}},
    "one split": {"measure": {"epochs": [1, 3], "splits": ["test"], "geometry": None}},
    "no bias": {"head": {"kind": "linear", "bias": False}},
    "fixed head": {"head": "etf"},
    "unequal": {"dataset": {**GAUSSIAN, "imbalance": {"kind": "exponential", "ratio": 10}}},
    "digits": {"dataset": "digits", "features": {"keep": "last", "max_per_class": None}},
    "large": {
        "dataset": {**GAUSSIAN, "classes": 110, "train_per_class": 2, "test_per_class": 1},
        "model": {"kind": "mlp", "hidden": [1030]},
    },
}


@pytest.mark.parametrize("changes", KEPT.values(), ids=KEPT.keys())
def test_the_estimate_is_what_is_kept(sqlite_url: str, settings: Settings, changes: dict) -> None:
    database = Database(sqlite_url)
    spec = toy(**{"measure": PROBED, **changes})
    submit(database, spec)
    lease = claim(database, settings).lease
    for item in run(spec, "cpu"):
        if hasattr(item, "sets"):
            recording.record(database, lease, item)
    with database.reading() as session:
        assert session.scalar(select(func.sum(FeatureSet.size))) == room.expected(spec)
        chunks = session.scalar(select(func.sum(func.length(FeatureChunk.data))))
        names = {s.name for s in queries.feature_sets(session, lease.experiment_id)}
    assert chunks == room.expected(spec) == workload(spec).feature_bytes
    kept = {*spec.measure.splits, "classifier"} | ({"mixed"} if spec.measure.geometry else set())
    assert names & {*kept, "train", "test", "mixed"} == (set() if spec.features.keep == "none" else kept)
    database.dispose()


def test_mixtures_are_kept_with_the_precision_of_features(database: Database, settings: Settings) -> None:
    spec = toy(measure=PROBED)
    submit(database, spec)
    lease = claim(database, settings).lease
    for item in run(spec, "cpu"):
        if hasattr(item, "sets"):
            recording.record(database, lease, item)
    with database.reading() as session:
        mixed = queries.array_set(session, lease.experiment_id, 3, "mixed")
    assert mixed is not None
    assert set(mixed.arrays) == {"H", "lam", "first", "second"}
    assert (mixed.arrays["H"].shape, mixed.arrays["H"].dtype) == ((6 * 20, 8), "float16")


def test_of_the_large_ones_it_is_of_the_right_size() -> None:
    spec = {"dataset": "cifar10", "model": "resnet18", "epochs": 350, "features": {"max_per_class": None}}
    assert room.expected(parse(spec)) == pytest.approx(60_000 * 512 * 2, rel=0.1)
    folder = {**spec, "dataset": {"kind": "image_folder", "name": "pets", "image_size": 32}}
    assert room.expected(parse(folder)) == 0


def test_beyond_the_quota_nothing_is_submitted(settings: Settings) -> None:
    body = {"dataset": "digits", "model": "mlp", "epochs": 5}
    one = room.expected(parse(body))
    with TestClient(
        create(replace(settings, feature_quota=3 * one // 2, reap_seconds=3600.0)), base_url="http://localhost"
    ) as client:
        first = client.post("/api/v1/experiments", json=body)
        refused = client.post("/api/v1/experiments", json={**body, "seed": 1})
        assert (first.status_code, refused.status_code) == (201, 507)
        assert f"expected to take {2 * one:,} more; NCMIX_FEATURE_QUOTA allows {3 * one // 2:,}" in refused.text
        assert client.post("/api/v1/experiments", json=body).status_code == 200
        assert client.post("/api/v1/presets/digits-mixup").status_code == 507
        assert len(client.get("/api/v1/experiments").json()["items"]) == 1
        # What has ended no longer expects any.
        client.post(f"{first.json()['links']['self']}/cancel")
        assert client.post("/api/v1/experiments", json={**body, "seed": 1}).status_code == 201


def test_beyond_the_disk_nothing_is_submitted(
    settings: Settings, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with TestClient(
        create(replace(settings, database_url=sqlite_url, reap_seconds=3600.0)), base_url="http://localhost"
    ) as client:
        refused = client.post("/api/v1/experiments", json={"dataset": "digits", "model": "mlp"})
    assert refused.status_code == 507
    assert "has 1,000 left." in refused.json()["detail"]
