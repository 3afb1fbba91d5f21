"""Answers that are written without their models are what the models would give."""

import json

import pytest
from fastapi.testclient import TestClient

from api import models
from ncmix.jobs import queries
from ncmix.jobs.database import Database
from ncmix.jobs.states import Reason
from tests.api.lives import Lives

HERE = "/api/v1/experiments"


@pytest.fixture
def ids(lives: Lives) -> list[str]:
    """One that waits, one under way, one that succeeded and one that failed; a name that JSON has to escape."""
    failed = lives.fail(lives.running(3, epochs=1), Reason("diverged", 'The loss became "NaN" \\ in epoch 2 · λ.'))
    done = lives.done(2, epochs=3, tags=["a", "b"])
    running = lives.running(1, epochs=2, name='a "name" with \\ and ü').experiment_id
    return [lives.queued(0, priority=3), running, done, failed]


def by_model(database: Database, experiment_id: str) -> object:
    with database.reading() as session:
        return json.loads(models.Experiment.of(queries.get(session, experiment_id)).model_dump_json())


def test_an_experiment(client: TestClient, database: Database, ids):
    for experiment_id in ids:
        answer = client.get(f"{HERE}/{experiment_id}")
        assert answer.headers["content-type"] == "application/json"
        assert answer.json() == by_model(database, experiment_id)
        models.Experiment.model_validate(answer.json())


def test_a_list(client: TestClient, database: Database, ids):
    answer = client.get(HERE, params={"limit": 3}).json()
    assert [item["id"] for item in answer["items"]] == ids[:3]
    assert answer["items"] == [by_model(database, i) for i in ids[:3]]
    rest = client.get(HERE, params={"limit": 3, "cursor": answer["next_cursor"]}).json()
    assert rest == {"items": [by_model(database, ids[3])], "next_cursor": None}
    models.Experiments.model_validate(answer)


def test_metrics(client: TestClient, ids):
    answer = client.get(f"{HERE}/{ids[2]}/metrics").json()
    assert models.Metrics.model_validate(answer).model_dump() == answer
    assert len(answer["items"]) == 15
