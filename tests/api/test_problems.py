"""Whatever is wrong with a request, the answer is a problem that says what and where."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.app import create
from api.bodies import LIMIT
from ncmix.datahome import DataHome
from ncmix.jobs.settings import Settings
from ncmix.spec import VOCABULARY
from tests.api.lives import Lives

HERE = "/api/v1/experiments"
SPEC = {"dataset": "digits", "model": "mlp", "epochs": 5}
JSON = {"Content-Type": "application/json"}


def problem(answer: Any, status: int) -> dict[str, Any]:
    """The problem in an answer, after making sure it is one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["title"]
    assert body["detail"].endswith(".")
    return body


def count(client: TestClient) -> int:
    return len(client.get(HERE).json()["items"])


@pytest.mark.parametrize(
    ("change", "pointer", "words"),
    [
        ({"dataset": "imagenette"}, "/dataset", "'imagenette' is not known; allowed are digits, mnist"),
        ({"epoch": 5}, "/epoch", "There is no such field; allowed here are dataset, model"),
        ({"epochs": -1}, "/epochs", "-1"),
        ({"epochs": "5"}, "/epochs", "'5'"),
        ({"mix": {"kind": "none", "alpha": 1.0}}, "/mix/alpha", "There is no such field"),
        ({"batch_size": 5000}, "/batch_size", "5000 is larger than the training data; allowed are 2 to 1442"),
        ({"measure": {"epochs": [9]}}, "/measure/epochs", "allowed are 0 to 5"),
        ({"dataset": None}, "/dataset", "None"),
        ({"name": "a\0b"}, "/name", "pattern"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_field_and_what_is_allowed(client, change, pointer, words):
    said = problem(client.post(HERE, json={**SPEC, **change}), 422)
    assert said["type"] == "urn:ncmix:problem:invalid-spec"
    (wrong,) = said["errors"]
    assert wrong["pointer"] == pointer
    assert words in wrong["detail"]
    assert count(client) == 0


def test_everything_wrong_is_said_at_once(client):
    said = problem(client.post(HERE, json={"dataset": "digits", "epochs": 0, "seed": -1}), 422)
    assert {e["pointer"] for e in said["errors"]} == {"/model", "/epochs", "/seed"}
    assert said["detail"] == "3 fields are wrong."


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused_by_the_field_they_stand_in(client, number):
    body = json.dumps(SPEC)[:-1] + f', "optimizer": {{"kind": "sgd", "lr": {number}}}}}'
    said = problem(client.post(HERE, content=body, headers=JSON), 422)
    assert [e["pointer"] for e in said["errors"]] == ["/optimizer/lr"]


@pytest.mark.parametrize(
    "body", [b"", b"{", b"not json", b"\xff\xfe\x00", b"[" * 100_000, b'{"seed": ' + b"9" * 5000 + b"}"]
)
def test_a_body_that_is_not_json_is_400(client, body):
    assert "not JSON" in problem(client.post(HERE, content=body, headers=JSON), 400)["detail"]


@pytest.mark.parametrize("body", ["[]", "null", "3", '"digits"'])
def test_json_that_is_no_object_is_422(client, body):
    assert problem(client.post(HERE, content=body, headers=JSON), 422)["errors"][0]["pointer"] == ""


def test_only_json_is_taken_for_json(client):
    said = problem(client.post(HERE, content=json.dumps(SPEC), headers={"Content-Type": "text/plain"}), 415)
    assert "'text/plain'; allowed is application/json" in said["detail"]


def test_a_body_over_a_mebibyte_is_413_announced_or_not(client):
    announced = b" " * (LIMIT + 1)
    assert "1 MiB" in problem(client.post(HERE, content=announced, headers=JSON), 413)["detail"]

    def trickle() -> Iterator[bytes]:
        yield from [b" " * 2**16] * (LIMIT // 2**16 + 1)

    problem(client.post(HERE, content=trickle(), headers=JSON), 413)
    fits = json.dumps(SPEC).encode().ljust(LIMIT)
    assert client.post(HERE, content=fits, headers=JSON).status_code == 201


def test_an_image_folder_must_be_registered(settings: Settings, tmp_path: Path):
    home = DataHome(tmp_path, {"birds": tmp_path / "birds", "cars": tmp_path / "cars"})
    spec = {**SPEC, "dataset": {"kind": "image_folder", "name": "planes"}, "model": "convnet"}
    with TestClient(create(replace(settings, data=home)), base_url="http://localhost") as client:
        (wrong,) = problem(client.post(HERE, json=spec), 422)["errors"]
        assert wrong["pointer"] == "/dataset/name"
        assert "'planes' here; registered are birds, cars." in wrong["detail"]
        spec["dataset"]["name"] = "birds"
        assert client.post(HERE, json=spec).status_code == 201


@pytest.mark.parametrize(
    ("query", "name", "words"),
    [
        ("limit=0", "limit", "'0' must be greater than or equal to 1."),
        ("state=sleeping", "state", "'sleeping'"),
        ("mix=mixdown", "mix", f"'mixdown' is not known; allowed are {', '.join(VOCABULARY['mix'])}."),
        ("colour=red", "colour", "There is no such parameter here."),
        ("tag=%00", "tag", "pattern"),
        ("cursor=nonsense", "cursor", "'nonsense' is not a cursor"),
        ("cursor=MS4wIAA", "cursor", "is not a cursor"),
    ],
)
def test_a_wrong_parameter_is_named(client, query, name, words):
    (wrong,) = problem(client.get(f"{HERE}?{query}"), 422)["errors"]
    assert (wrong["pointer"], wrong["part"]) == (f"/{name}", "query")
    assert words in wrong["detail"]


@pytest.mark.parametrize("address", ["features/train.npy", "plots/nc.json"])
def test_an_epoch_that_no_database_can_hold_is_named(client, lives: Lives, address):
    (wrong,) = problem(client.get(f"{HERE}/{lives.done()}/{address}?epoch={2**40}"), 422)["errors"]
    assert wrong["pointer"] == "/epoch"
    assert "must be less than or equal to 1000000" in wrong["detail"]


def test_an_address_that_is_none_is_404(client):
    assert "/api/v2/experiments" in problem(client.get("/api/v2/experiments"), 404)["detail"]


def test_a_method_that_is_none_is_405_and_names_those_there_are(client):
    answer = client.put(HERE, json=SPEC)
    assert "allowed is GET, POST." in problem(answer, 405)["detail"]
    assert answer.headers["allow"] == "GET, POST"


def test_a_fault_of_ours_is_500_and_gives_nothing_away(client, lives: Lives):
    experiment = lives.queued()
    with lives.database.transaction() as session:
        session.execute(text("""UPDATE experiment SET spec = '"secret"'"""))
    answer = client.get(f"{HERE}/{experiment}")
    assert problem(answer, 500)["type"] == "urn:ncmix:problem:internal"
    assert "secret" not in answer.text


def test_a_database_without_schema_is_503(settings: Settings, tmp_path: Path):
    bare = replace(settings, database_url=f"sqlite:///{tmp_path / 'bare.db'}")
    with TestClient(create(bare), base_url="http://localhost") as client:
        answer = client.get(HERE)
        problem(answer, 503)
        assert answer.headers["retry-after"]
        assert "python -m ncmix.jobs.migrate" in problem(client.get("/readyz"), 503)["detail"]
        assert client.get("/healthz").json() == {"status": "ok"}
