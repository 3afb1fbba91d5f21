"""A spec is read without anything being queued: its defaults, what it takes, and whether it is on record."""

from fastapi.testclient import TestClient

from tests.api.lives import Lives
from tests.toys import toy

HERE = "/api/v1/specs"
SPEC = {"dataset": "digits", "model": "mlp", "epochs": 5, "measure": {"epochs": [1, 5]}}


def test_it_is_given_back_whole_with_what_it_takes(client: TestClient):
    read = client.post(HERE, json=SPEC).json()
    assert read["spec"]["optimizer"]["kind"] == "sgd"
    assert (read["title"], read["queue"], read["measured_epochs"]) == (
        "digits mlp cross_entropy none seed 0",
        "cpu",
        [1, 5],
    )
    assert read["steps"] == 5 * 12  # 1,442 digits in batches of 128
    # Once all 1,797 digits, at most 500 a class and split, and 1,800 mixtures, 256 features in float16; W and b; twice
    # the points of the probe, norms, cosines and confusion of ten classes, and spectra.
    kept = 1797 * (256 * 2 + 8) + 1800 * (256 * 2 + 20) + 4 * 10 * 257
    assert read["feature_bytes"] == kept + 2 * (1800 * 28 + 4 * 10 * 3 + 4 * 100 * 5 + 4 * 256 * 4)
    assert read["experiment"] is None
    assert client.get("/api/v1/experiments").json()["items"] == []


def test_it_says_what_submitting_would_give(client: TestClient, lives: Lives):
    done = lives.done(epochs=1)
    spec = toy().model_dump(mode="json")
    assert client.post(HERE, json=spec).json()["experiment"]["id"] == done
    assert client.post("/api/v1/experiments", json=spec).json()["id"] == done
    cancelled = lives.queued(seed=1)
    client.post(f"/api/v1/experiments/{cancelled}/cancel")
    assert client.post(HERE, json=toy(seed=1).model_dump(mode="json")).json()["experiment"] is None


def test_what_is_wrong_is_said_as_by_submitting(client: TestClient):
    wrong = {**SPEC, "epochs": -3}
    read, submitted = client.post(HERE, json=wrong), client.post("/api/v1/experiments", json=wrong)
    assert (read.status_code, read.json()) == (422, submitted.json())
    folder = client.post(HERE, json={**SPEC, "dataset": {"kind": "image_folder", "name": "pets"}})
    assert folder.json()["errors"][0]["pointer"] == "/dataset/name"


def test_what_only_a_worker_can_know_is_left_open(client: TestClient):
    vague = client.post(HERE, json={**SPEC, "model": {"kind": "timm", "name": "convnext_atto"}, "epochs": 5}).json()
    assert vague["feature_bytes"] is None
    none = client.post(HERE, json={**SPEC, "features": {"keep": "none"}}).json()
    assert none["feature_bytes"] < 120_000, "what plots need is kept all the same"
