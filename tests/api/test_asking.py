"""Pause, resume, retry, extend over HTTP, and requests that are done once under their key."""

import threading
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from api.app import create
from ncmix.jobs import idempotency
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Reason
from tests.api.lives import Lives
from tests.jobs.helpers import keep_end

HERE = "/api/v1/experiments"
SPEC = {"dataset": "digits", "model": "mlp", "epochs": 5}


def messages(settings: Settings) -> int:
    """How many hints lie in the embedded queue."""
    return len(list((settings.broker_folder / "messages").iterdir()))


def test_pausing_and_resuming_one_that_waits_and_one_that_runs(client: TestClient, lives: Lives, settings: Settings):
    running = lives.running(seed=1).experiment_id
    waiting = lives.queued()
    for experiment, paused, resumed in ((waiting, "paused", "queued"), (running, "pausing", "running")):
        for verb, state in (("pause", paused), ("pause", paused), ("resume", resumed), ("resume", resumed)):
            answer = client.post(f"{HERE}/{experiment}/{verb}")
            assert (answer.status_code, answer.json()["state"]) == (202, state)
    assert messages(settings) > 0  # a worker is told of the one that waits again


def test_retrying_makes_a_new_experiment_beside_the_old(client: TestClient, lives: Lives, settings: Settings):
    failed = lives.fail(lives.running(), Reason("diverged", "The loss is NaN."))
    answer = client.post(f"{HERE}/{failed}/retry")
    assert answer.status_code == 201
    again = answer.json()
    assert answer.headers["location"] == again["links"]["self"]
    assert (again["state"], again["parent"], again["key"]) == (
        "queued",
        failed,
        client.get(f"{HERE}/{failed}").json()["key"],
    )
    assert messages(settings) == 1
    same = client.post(f"{HERE}/{failed}/retry")
    assert (same.status_code, same.json()["id"]) == (200, again["id"])


def test_extending_makes_a_longer_experiment_that_names_its_parent(
    client: TestClient, lives: Lives, settings: Settings
):
    done = lives.done()
    refused = client.post(f"{HERE}/{done}/extend", json={"epochs": 8, "set": ["name=longer"]})
    assert (refused.status_code, messages(settings)) == (409, 0)
    assert "no checkpoint of its end is here" in refused.json()["detail"]
    keep_end(lives.database, done)
    answer = client.post(f"{HERE}/{done}/extend", json={"epochs": 8, "set": ["name=longer"]})
    assert answer.status_code == 201
    made = answer.json()
    assert (made["parent"], made["epochs"], made["title"], made["state"]) == (done, 8, "longer", "queued")


@pytest.mark.parametrize(
    ("body", "pointer", "words"),
    [
        ({"epochs": "8"}, "/epochs", "'8'"),
        ({"epochs": 1}, "/epochs", "1 must be greater than or equal to 2"),
        ({}, "/epochs", "It is required"),
        ({"epochs": 8, "epoch": 1}, "/epoch", "There is no such"),
        ([], "", "must be"),
    ],
)
def test_a_wrong_extension_names_the_field(client: TestClient, lives: Lives, body, pointer: str, words: str):
    answer = client.post(f"{HERE}/{lives.done()}/extend", json=body)
    assert answer.status_code == 422
    (wrong,) = answer.json()["errors"]
    assert wrong["pointer"] == pointer
    assert words in wrong["detail"]


def test_an_extension_that_is_none_is_refused_in_a_sentence(client: TestClient, lives: Lives):
    answer = client.post(f"{HERE}/{lives.done()}/extend", json={"epochs": 2})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "2 does not go past the run it extends; allowed is more than 3" in answer.json()["detail"]


@pytest.mark.parametrize("verb", ["pause", "resume", "retry", "extend"])
def test_what_cannot_be_asked_is_409_and_what_is_not_there_404(client: TestClient, lives: Lives, verb: str):
    one = lives.queued() if verb in ("retry", "extend") else lives.done()
    answer = client.post(f"{HERE}/{one}/{verb}", json={"epochs": 9})
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert one in answer.json()["detail"]
    assert client.post(f"{HERE}/{'0' * 20}/{verb}", json={"epochs": 9}).status_code == 404


class TestTheIdempotencyKey:
    """The same request under the same key is done once, and answered the same way."""

    def test_replays_the_answer(self, client: TestClient):
        first = client.post(f"{HERE}?rerun=true", json=SPEC, headers={"Idempotency-Key": "a"})
        again = client.post(f"{HERE}?rerun=true", json=SPEC, headers={"Idempotency-Key": "a"})
        assert (first.status_code, again.status_code) == (201, 201)
        assert first.content == again.content
        assert first.headers["location"] == again.headers["location"]
        assert ("idempotency-replayed" in first.headers, again.headers["idempotency-replayed"]) == (False, "true")
        other = client.post(f"{HERE}?rerun=true", json=SPEC, headers={"Idempotency-Key": "b"})
        assert other.json()["id"] != first.json()["id"]

    @pytest.mark.parametrize("address", [HERE, f"{HERE}?rerun=true"])
    def test_belongs_to_one_request(self, client: TestClient, address: str):
        client.post(HERE, json=SPEC, headers={"Idempotency-Key": "a"})
        spec = {**SPEC, "epochs": 6} if address == HERE else SPEC
        answer = client.post(address, json=spec, headers={"Idempotency-Key": "a"})
        assert answer.status_code == 422
        assert answer.json()["type"] == "urn:ncmix:problem:idempotency-key-reused"
        (wrong,) = answer.json()["errors"]
        assert (wrong["pointer"], wrong["part"]) == ("/Idempotency-Key", "header")

    def test_remembers_no_refusal(self, client: TestClient, lives: Lives):
        running = lives.running()
        key = {"Idempotency-Key": "a"}
        assert client.post(f"{HERE}/{running.experiment_id}/retry", headers=key).status_code == 409
        lives.fail(running, Reason("diverged", "The loss is NaN."))
        assert client.post(f"{HERE}/{running.experiment_id}/retry", headers=key).status_code == 201

    def test_holds_for_a_preset(self, client: TestClient):
        address, key = "/api/v1/presets/digits-mixup?rerun=true", {"Idempotency-Key": "a"}
        answers = [client.post(address, headers=key) for _ in range(2)]
        assert answers[0].json() == answers[1].json()
        assert len(client.get(HERE).json()["items"]) == len(answers[0].json()["items"])

    @pytest.mark.parametrize("key", ["", "x" * 256, "two words"])
    def test_must_be_a_word(self, client: TestClient, key: str):
        answer = client.post(HERE, json=SPEC, headers={"Idempotency-Key": key})
        assert answer.status_code == 422
        assert [e["part"] for e in answer.json()["errors"]] == ["header"]

    def test_of_fifty_at_once_is_worked_on_once(self, client: TestClient):
        answers, start = [], threading.Barrier(50)

        def post() -> None:
            start.wait()
            answers.append(client.post(f"{HERE}?rerun=true", json=SPEC, headers={"Idempotency-Key": "a"}))

        threads = [threading.Thread(target=post) for _ in range(50)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert {a.status_code for a in answers} == {201}
        assert len({a.content for a in answers}) == 1
        assert len(client.get(HERE).json()["items"]) == 1

    @pytest.mark.postgres
    def test_in_flight_for_long_is_409(self, postgres_url: str, settings: Settings, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr(idempotency, "_WAIT_MILLISECONDS", 100)
        with TestClient(create(replace(settings, database_url=postgres_url)), base_url="http://localhost") as client:
            database = client.app.state.context.database
            with database.transaction() as session:
                assert idempotency.recall(session, "a", "another request") is None
                answer = client.post(HERE, json=SPEC, headers={"Idempotency-Key": "a"})
                assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
                assert answer.json()["type"] == "urn:ncmix:problem:in-flight"
                session.rollback()
            assert client.post(HERE, json=SPEC, headers={"Idempotency-Key": "a"}).status_code == 201

    def test_is_forgotten_after_a_day(self, client: TestClient, lives: Lives):
        first = client.post(f"{HERE}?rerun=true", json=SPEC, headers={"Idempotency-Key": "a"})
        with lives.database.transaction() as session:
            idempotency.forget(session)
        assert client.post(f"{HERE}?rerun=true", json=SPEC, headers={"Idempotency-Key": "a"}).json() == first.json()
        with lives.database.transaction() as session:
            session.execute(text("UPDATE idempotency SET created = created - 86401"))
            idempotency.forget(session)
        again = client.post(f"{HERE}?rerun=true", json=SPEC, headers={"Idempotency-Key": "a"})
        assert again.json()["id"] != first.json()["id"]
