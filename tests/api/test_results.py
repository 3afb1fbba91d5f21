"""What an experiment gave: metrics as JSON and CSV, the log by offset, the events in order."""

import csv
from io import StringIO

import pytest
from fastapi.testclient import TestClient

from ncmix.jobs.states import Reason
from tests.api.lives import Lives

HERE = "/api/v1/experiments"


def test_metrics_come_by_epoch_split_and_name(client: TestClient, lives: Lives):
    experiment = lives.done(epochs=2)
    items = client.get(f"{HERE}/{experiment}/metrics").json()["items"]
    assert len(items) == 10
    assert items == sorted(items, key=lambda item: (item["epoch"], item["split"], item["name"]))
    assert {"epoch": 1, "split": "train", "name": "nc1", "value": 4.0, "note": ""} in items
    assert {"epoch": 1, "split": "train", "name": "nc3", "value": None, "note": "undefined"} in items


@pytest.mark.parametrize(
    ("query", "expected"),
    [("name=nc1", 4), ("name=nc1&name=nc3", 6), ("name=nc1&split=test", 2), ("split=running", 2), ("name=other", 0)],
)
def test_metrics_can_be_chosen_by_name_and_split(client: TestClient, lives: Lives, query, expected):
    experiment = lives.done(epochs=2)
    assert len(client.get(f"{HERE}/{experiment}/metrics?{query}").json()["items"]) == expected
    assert len(client.get(f"{HERE}/{experiment}/metrics.csv?{query}").text.splitlines()) == expected + 1


def test_metrics_as_csv_are_the_same_numbers(client: TestClient, lives: Lives):
    experiment = lives.done(epochs=3)
    answer = client.get(f"{HERE}/{experiment}/metrics.csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(StringIO(answer.text)))
    assert list(rows[0]) == ["epoch", "split", "name", "value"]
    items = client.get(f"{HERE}/{experiment}/metrics").json()["items"]
    assert [(int(r["epoch"]), float(r["value"]) if r["value"] else None) for r in rows] == [
        (i["epoch"], i["value"]) for i in items
    ]


def test_metrics_of_one_that_waits_are_none(client: TestClient, lives: Lives):
    experiment = lives.queued()
    assert client.get(f"{HERE}/{experiment}/metrics").json() == {"items": []}
    assert client.get(f"{HERE}/{experiment}/metrics.csv").text == "epoch,split,name,value\n"


def test_a_log_is_read_on_from_where_one_was(client: TestClient, lives: Lives):
    lease = lives.running()
    here = f"{HERE}/{lease.experiment_id}/log"
    lives.log(lease, "epoch 1 · λ\n".encode())
    first = client.get(here)
    assert first.text == "epoch 1 · λ\n"
    assert first.headers["content-type"] == "text/plain; charset=utf-8"
    assert (first.headers["log-ended"], first.headers["experiment-state"]) == ("false", "running")
    lives.log(lease, b"epoch 2\n")
    rest = client.get(here, params={"offset": first.headers["next-offset"]})
    assert rest.text == "epoch 2\n"
    lives.fail(lease, Reason("oom", "The GPU has no memory left."))
    end = client.get(here, params={"offset": rest.headers["next-offset"]})
    assert (end.text, end.headers["log-ended"], end.headers["experiment-state"]) == ("", "true", "failed")
    piece = client.get(here, params={"offset": 2, "limit": 3})
    assert (piece.text, piece.headers["next-offset"], piece.headers["log-ended"]) == ("och", "5", "false")


def test_events_tell_what_happened(client: TestClient, lives: Lives):
    experiment = lives.done(epochs=2)
    here = f"{HERE}/{experiment}/events"
    answer = client.get(here).json()
    kinds = [(e["kind"], e["state"]) for e in answer["items"]]
    assert kinds == [
        ("submitted", "queued"),
        ("claimed", "running"),
        ("epoch", "running"),
        ("epoch", "running"),
        ("succeeded", "succeeded"),
    ]
    assert answer["items"][2]["data"] == {"epoch": 1}
    later = client.get(here, params={"after": answer["items"][3]["id"]}).json()
    assert [e["kind"] for e in later["items"]] == ["succeeded"]
    assert client.get(here, params={"after": answer["last_id"]}).json() == {"items": [], "last_id": answer["last_id"]}
