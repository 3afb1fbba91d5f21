"""Experiments over HTTP: submit, list, look, cancel, delete."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from api.app import create
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Reason
from tests.api.lives import Lives
from tests.toys import toy

HERE = "/api/v1/experiments"
SPEC = {"dataset": "digits", "model": "mlp", "epochs": 5, "tags": ["first"], "priority": 3}


def test_a_posted_spec_is_on_record_when_the_answer_comes(client: TestClient):
    answer = client.post(HERE, json=SPEC)
    assert answer.status_code == 201
    shown = answer.json()
    assert answer.headers["location"] == shown["links"]["self"] == f"{HERE}/{shown['id']}"
    assert (shown["state"], shown["queue"], shown["tags"], shown["priority"]) == ("queued", "cpu", ["first"], 3)
    assert shown["spec"]["optimizer"]["kind"] == "sgd"
    assert shown["title"] == "digits mlp cross_entropy none seed 0"
    assert (shown["epoch"], shown["epochs"], shown["progress"], shown["reason"]) == (0, 5, 0.0, None)
    created = datetime.fromisoformat(shown["created_at"])
    assert abs((datetime.now(UTC) - created).total_seconds()) < 60
    assert client.get(shown["links"]["self"]).json() == shown


def test_a_hint_is_sent_after_a_new_experiment_only(client: TestClient, settings: Settings):
    messages = settings.broker_folder / "messages"
    client.post(HERE, json=SPEC)
    assert len(list(messages.iterdir())) == 1
    client.post(HERE, json=SPEC)
    assert len(list(messages.iterdir())) == 1


def test_the_same_spec_again_gives_the_same_experiment_unless_it_is_to_run_again(client: TestClient):
    first = client.post(HERE, json=SPEC)
    again = client.post(HERE, json={**SPEC, "name": "another name", "tags": []})
    assert again.status_code == 200
    assert again.json()["id"] == first.json()["id"]
    rerun = client.post(f"{HERE}?rerun=true", json=SPEC)
    assert rerun.status_code == 201
    assert rerun.json()["id"] != first.json()["id"]
    assert rerun.json()["key"] == first.json()["key"]


def test_a_failed_one_runs_again_when_it_is_posted_again(client: TestClient, lives: Lives):
    failed = lives.fail(lives.running(), Reason("diverged", "The loss is NaN."))
    assert client.get(f"{HERE}/{failed}").json()["reason"] == {"code": "diverged", "message": "The loss is NaN."}
    answer = client.post(HERE, json=toy().model_dump(mode="json"))
    assert answer.status_code == 201
    assert answer.json()["id"] != failed


def test_a_submission_survives_a_broker_that_is_down(settings: Settings):
    deaf = replace(settings, broker_url="redis://127.0.0.1:1/0")
    with TestClient(create(deaf), base_url="http://localhost") as client:
        assert client.post(HERE, json=SPEC).status_code == 201
        ready = client.get("/readyz")
        assert (ready.status_code, ready.json()["status"], ready.json()["broker"]) == (
            200,
            "degraded",
            "does not answer",
        )


def test_the_gpu_queue_takes_what_asks_for_a_gpu(client: TestClient):
    assert client.post(HERE, json={**SPEC, "device": "cuda"}).json()["queue"] == "gpu"


def test_one_that_runs_shows_how_far_it_is_and_what_came_last(client: TestClient, lives: Lives):
    lease = lives.running(epochs=2)
    shown = client.get(f"{HERE}/{lease.experiment_id}").json()
    assert (shown["state"], shown["attempt"], shown["epoch"]) == ("running", 1, 2)
    assert shown["progress"] == pytest.approx(2 / 3)
    assert shown["eta_seconds"] == pytest.approx(2.0)
    assert shown["latest"]["train"] == {"accuracy": 0.75, "nc1": 2.0, "nc3": None}
    assert shown["started_at"] is not None
    assert shown["finished_at"] is None
    lives.finish(lease)
    shown = client.get(f"{HERE}/{lease.experiment_id}").json()
    assert (shown["state"], shown["progress"], shown["eta_seconds"]) == ("succeeded", 1.0, None)
    assert shown["finished_at"] >= shown["started_at"]


def test_a_list_is_newest_first_and_goes_on_where_its_link_says(client: TestClient, lives: Lives):
    ids = [lives.queued(seed) for seed in range(5)]
    seen, address = [], f"{HERE}?limit=2&dataset=gaussian"
    while address:
        page = client.get(address)
        seen += [item["id"] for item in page.json()["items"]]
        address = page.links["next"]["url"] if "next" in page.links else None
        assert (address is not None) == (page.json()["next_cursor"] is not None)
    assert seen == ids[::-1]
    oldest = client.get(HERE, params={"order": "oldest", "limit": 3}).json()
    assert [item["id"] for item in oldest["items"]] == ids[:3]
    rest = client.get(HERE, params={"order": "oldest", "cursor": oldest["next_cursor"]}).json()
    assert [item["id"] for item in rest["items"]] == ids[3:]


def test_a_list_shows_what_the_filters_admit(client: TestClient, lives: Lives):
    plain, mixed = lives.queued(0, tags=["a"]), lives.queued(1, mix="mixup", tags=["a", "b"])
    done = lives.done(2, loss="mse", priority=9)

    def found(**filters: str) -> list[str]:
        return [item["id"] for item in client.get(HERE, params=filters).json()["items"]]

    assert found(mix="mixup") == [mixed]
    assert found(tag="a") == [mixed, plain]
    assert found(tag="b") == [mixed]
    assert found(state="succeeded") == found(loss="mse") == [done]
    assert found(model="mlp", dataset="gaussian") == [done, mixed, plain]
    assert found(model="resnet18") == []


def test_a_list_asks_the_database_once_however_long_it_is(client: TestClient, lives: Lives):
    for seed in range(8):
        lives.queued(seed, tags=[f"tag-{seed}"])
    with counted(client.app.state.context.database) as statements:
        assert len(client.get(HERE).json()["items"]) == 8
    # Once in a while the API reaps, too, and asks whether there is a key: recognised by what they ask for.
    others = ("lease_until <", "api_key")
    assert len([s for s in statements if s.startswith("SELECT") and not any(word in s for word in others)]) == 1


@contextmanager
def counted(database: Database) -> Iterator[list[str]]:
    """The statements that reach the database within."""
    statements: list[str] = []

    def note(connection, cursor, statement, *rest) -> None:
        statements.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield statements
    event.remove(database.engine, "before_cursor_execute", note)


def test_cancelling_is_at_once_for_one_that_waits_and_a_request_to_one_that_runs(client: TestClient, lives: Lives):
    running = lives.running(seed=1).experiment_id
    waiting = lives.queued()
    for experiment, state in ((waiting, "cancelled"), (running, "cancelling")):
        for _ in range(2):
            answer = client.post(f"{HERE}/{experiment}/cancel")
            assert (answer.status_code, answer.json()["state"]) == (202, state)
    assert client.get(f"{HERE}/{waiting}").json()["reason"]["code"] == "cancelled_by_user"


def test_what_has_ended_cannot_be_cancelled(client: TestClient, lives: Lives):
    answer = client.post(f"{HERE}/{lives.done()}/cancel")
    assert answer.status_code == 409
    assert "has already succeeded" in answer.json()["detail"]


def test_deleting_really_deletes_but_not_under_a_worker(client: TestClient, lives: Lives):
    lease = lives.running(epochs=1)
    here = f"{HERE}/{lease.experiment_id}"
    refused = client.delete(here)
    assert refused.status_code == 409
    assert "cancel it before deleting" in refused.json()["detail"]
    lives.finish(lease)
    assert client.delete(here).status_code == 204
    assert client.get(here).status_code == 404
    assert client.get(f"{here}/metrics").status_code == 404
    assert client.delete(here).status_code == 404


@pytest.mark.parametrize("unknown", ["0" * 20, "abc", "%00", "..%2F..", "x" * 300])
@pytest.mark.parametrize("part", ["", "/metrics", "/metrics.csv", "/log", "/events", "/plots", "/plots/nc.png"])
def test_an_unknown_experiment_is_404_everywhere(client: TestClient, unknown: str, part: str):
    answer = client.get(f"{HERE}/{unknown}{part}")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
