"""Sweeps over HTTP: one request for many experiments, one table of them, one picture."""

import csv
import io
import json
from typing import Any

import httpx2
import numpy as np
import pytest
from fastapi.testclient import TestClient

from api.routes import plots
from ncmix.spec import expand, parse_sweep
from tests.api.lives import Lives
from tests.toys import toy

BASE = toy().model_dump(mode="json")
SWEEP = {
    "name": "study",
    "base": BASE,
    "grid": {"loss": ["cross_entropy", "mse"], "mix": ["none", "mixup"]},
    "seeds": 2,
}
CELLS = 8


def post(client: TestClient, query: str = "", headers: dict[str, str] | None = None, **changes: Any) -> httpx2.Response:
    """The answer to SWEEP with these changes."""
    return client.post(f"/api/v1/sweeps{query}", json={**SWEEP, **changes}, headers=headers)


def ended(client: TestClient, lives: Lives) -> str:
    """SWEEP on record with all of its cells succeeded; its id."""
    for cell in expand(parse_sweep(SWEEP)).cells:
        changes = {name: cell.spec.model_dump(mode="json")[name] for name in ("loss", "mix")}
        lives.done(cell.spec.seed, epochs=2 + cell.spec.seed, **changes)
    return post(client).json()["id"]


def test_a_sweep_is_posted_once_and_shown_whole(client: TestClient) -> None:
    answer = post(client, tags=["paper"])
    shown = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == shown["links"]["self"] == f"/api/v1/sweeps/{shown['id']}"
    assert (shown["name"], shown["tags"], shown["cells"], shown["made"], shown["shared"]) == (
        "study",
        ["paper"],
        8,
        8,
        0,
    )
    assert (shown["states"], shown["progress"], shown["eta_seconds"]) == ({"queued": 8}, 0.0, None)
    again = post(client)
    assert (again.status_code, again.json()["id"], again.json()["made"]) == (200, shown["id"], 0)
    assert client.get(shown["links"]["self"]).json() == {k: v for k, v in shown.items() if k not in ("made", "shared")}
    assert client.get("/api/v1/sweeps").json()["items"][0]["id"] == shown["id"]
    cells = client.get(shown["links"]["experiments"]).json()["items"]
    assert len(cells) == CELLS
    assert all(cell["title"].startswith("study · ") for cell in cells)
    assert (
        client.get(f"/api/v1/experiments?sweep={shown['id']}&mix=mixup").json()["items"][0]["spec"]["mix"]["alpha"] == 1
    )
    assert parse_sweep(shown["definition"]) == parse_sweep({**SWEEP, "tags": ["paper"]})


def test_an_idempotency_key_replays_the_answer(client: TestClient) -> None:
    first, second = (post(client, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, second.status_code, second.headers["idempotency-replayed"]) == (201, 201, "true")
    assert first.json() == second.json()


def test_a_dry_run_says_what_would_happen_and_does_nothing(client: TestClient, lives: Lives) -> None:
    lives.done(0)
    grid = {**SWEEP["grid"], "model": ["mlp", "vit"]}
    plan = post(client, "?dry_run=true", grid=grid, skip_invalid=True, exclude=[{"loss": "mse", "mix": "mixup"}]).json()
    # Of the four combinations one is excluded, with both models and seeds; vit makes no sense on vectors.
    assert (plan["cells"], plan["made"], plan["shared"], plan["excluded"]) == (6, 6, 0, 4)
    assert plan["fields"] == ["loss.kind", "mix.kind"]
    assert [e["pointer"] for e in plan["invalid"]] == ["/grid/model"]
    assert plan["estimate"]["seconds"] == 6 * 3 * 2.0
    assert plan["estimate"]["checkpoint_bytes"] is None
    assert "No finished run of gaussian with mlp has checkpoints" in plan["estimate"]["checkpoint_bytes_reason"]
    assert post(client, "?dry_run=true").json()["shared"] == 1
    assert client.get("/api/v1/sweeps").json()["items"] == []
    assert len(client.get("/api/v1/experiments").json()["items"]) == 1


def test_what_is_wrong_is_said_with_the_cell_and_the_field_and_nothing_is_queued(client: TestClient) -> None:
    answer = post(client, grid={"optimizer.lr": [0.1, -1], "dataset": ["digits", "nothing"]})
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (422, "urn:ncmix:problem:invalid-sweep")
    said = {e["pointer"]: e["detail"] for e in problem["errors"]}
    assert said["/grid/optimizer.lr"].startswith(
        "Cells 4–7 (optimizer.lr=-1, dataset=digits, seed=0): optimizer.lr: -1"
    )
    assert said["/grid/dataset"].startswith(
        "Cells 2–3, 6–7 (optimizer.lr=0.1, dataset=nothing, seed=0): dataset: 'noth"
    )
    assert post(client, grid=[1]).status_code == 422
    assert client.post("/api/v1/sweeps", content=b"{").status_code == 415
    assert client.get("/api/v1/experiments").json()["items"] == []


def test_a_folder_that_nobody_registered_refuses_the_sweep(client: TestClient) -> None:
    base = {"dataset": {"kind": "image_folder", "name": "pets"}, "model": "convnet", "epochs": 1}
    assert "There is no image folder 'pets'" in post(client, base=base).json()["errors"][0]["detail"]


def test_cancel_and_retry(client: TestClient, lives: Lives) -> None:
    here = post(client).json()["links"]["self"]
    cancelled = client.post(f"{here}/cancel")
    assert (cancelled.status_code, cancelled.json()["states"]) == (202, {"cancelled": CELLS})
    assert cancelled.json()["cancelled_at"] is not None
    assert client.post(f"{here}/cancel").status_code == 202
    retried = client.post(f"{here}/retry-failed")
    assert (retried.status_code, retried.json()["made"], retried.json()["cancelled_at"]) == (201, CELLS, None)
    assert client.post(f"{here}/retry-failed").status_code == 200


def test_a_sweep_is_deleted_alone_or_with_its_experiments(client: TestClient) -> None:
    here = post(client).json()["links"]["self"]
    assert client.delete(here).status_code == 204
    assert client.get(here).status_code == 404
    assert len(client.get("/api/v1/experiments").json()["items"]) == CELLS
    shown = post(client).json()
    assert shown["shared"] == CELLS
    # They stood there before this one, on their own.
    assert client.delete(f"{shown['links']['self']}?experiments=true").status_code == 204
    assert len(client.get("/api/v1/experiments").json()["items"]) == CELLS
    own = post(client, seeds=[7]).json()
    assert client.delete(f"{own['links']['self']}?experiments=true").status_code == 204
    assert len(client.get("/api/v1/experiments").json()["items"]) == CELLS


def test_the_table_as_json_csv_and_matrix(client: TestClient, lives: Lives) -> None:
    here = f"/api/v1/sweeps/{ended(client, lives)}"
    table = client.get(f"{here}/table?metrics=nc1,nc3&split=train").json()
    # 4/epoch, of two epochs with seed 0 and three with seed 1.
    mean, std = np.mean([4 / 2, 4 / 3]), np.std([4 / 2, 4 / 3], ddof=1)
    assert table["fields"] == ["loss.kind", "mix.kind"]
    assert table["matrix"] is None
    assert [group["fields"] for group in table["items"]] == [
        {"loss.kind": loss, "mix.kind": mix} for loss in SWEEP["grid"]["loss"] for mix in SWEEP["grid"]["mix"]
    ]
    for group in table["items"]:
        assert group["metrics"]["train"]["nc3"] == {"n": 0, "mean": None, "std": None}
        assert group["metrics"]["train"]["nc1"] == {"n": 2, "mean": pytest.approx(mean), "std": pytest.approx(std)}
    rows = list(csv.DictReader(io.StringIO(client.get(f"{here}/table.csv?metrics=nc1,nc3&split=train").text)))
    assert rows[1]["loss.kind"], rows[1]["mix.kind"] == ("cross_entropy", "mixup")
    assert (rows[1]["cells"], rows[1]["train_nc1_n"], rows[1]["train_nc3_mean"]) == ("2", "2", "")
    assert float(rows[1]["train_nc1_std"]) == table["items"][1]["metrics"]["train"]["nc1"]["std"]
    matrix = client.get(f"{here}/table?rows=loss.kind&columns=mix.kind&metric=nc1").json()["matrix"]
    assert (matrix["metric"], matrix["split"]) == ("nc1", "train")
    assert (matrix["rows"], matrix["columns"]) == (["cross_entropy", "mse"], ["none", "mixup"])
    assert matrix["values"][1][0]["mean"] == pytest.approx(mean)
    by_seed = client.get(f"{here}/table?rows=seed&columns=mix&metric=nc1&epoch=2").json()["matrix"]
    assert (by_seed["rows"], by_seed["columns"], by_seed["values"][0][1]["n"]) == ([0, 1], ["none", "mixup"], 2)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("rows=loss", "a matrix needs rows and columns; only one of them is given"),
        ("rows=loss&columns=epochs", "This sweep does not vary 'epochs'; it varies loss, mix, seed."),
        ("metrics=N%20C", "String should match pattern"),
        ("split=val", "'val'"),
        ("colour=1", "There is no such parameter here."),
    ],
)
def test_a_table_that_cannot_be(client: TestClient, query: str, message: str) -> None:
    here = post(client).json()["links"]["self"]
    answer = client.get(f"{here}/table?{query}")
    assert answer.status_code == 422
    assert message.replace("String should", "should") in answer.text


def test_a_picture_of_a_sweep_is_of_means_over_seeds(client: TestClient, lives: Lives) -> None:
    sweep = ended(client, lives)
    drawn = json.loads(client.get(f"/api/v1/compare/plots/nc.json?sweep={sweep}").content)
    assert drawn["groups"] == [
        f"{loss}, {mix} (2 runs)" for loss in ("cross_entropy", "mse") for mix in ("none", "mixup")
    ]
    assert set(drawn["data"]["runs"]) == {2}
    by_mix = json.loads(client.get(f"/api/v1/compare/plots/nc.json?sweep={sweep}&group_by=mix.kind").content)
    assert by_mix["groups"] == ["none (4 runs)", "mixup (4 runs)"]
    picture = client.get(f"/api/v1/compare/plots/nc.png?sweep={sweep}&group_by=mix.kind")
    assert picture.content.startswith(b"\x89PNG")
    tag = picture.headers["etag"]
    url = f"/api/v1/compare/plots/nc.png?sweep={sweep}&group_by=mix.kind"
    assert client.get(url, headers={"If-None-Match": tag}).status_code == 304


def test_a_picture_of_seeds_alone_is_one_line(client: TestClient, lives: Lives) -> None:
    for seed in (0, 1):
        lives.done(seed)
    sweep = post(client, grid={}).json()["id"]
    drawn = json.loads(client.get(f"/api/v1/compare/plots/nc.json?sweep={sweep}").content)
    assert drawn["groups"] == ["gaussian (2 runs)"]


def test_a_picture_that_cannot_be(client: TestClient, lives: Lives) -> None:
    sweep = post(client).json()["id"]
    nothing = client.get(f"/api/v1/compare/plots/nc.png?sweep={sweep}")
    assert (nothing.status_code, "none of its experiments has succeeded" in nothing.text) == (404, True)
    assert client.get(f"/api/v1/compare/plots/nc.png?sweep={'0' * 20}").status_code == 404
    for query in ("", f"?sweep={sweep}&ids={'0' * 20}"):
        neither = client.get(f"/api/v1/compare/plots/nc.png{query}")
        assert neither.json()["errors"][0]["detail"].startswith("experiments are named by ids or by sweep")
    assert client.get("/api/v1/compare/plots/nc.png?sweep=x").status_code == 422


def test_too_many_lines_are_refused_with_the_way_out(
    client: TestClient, lives: Lives, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plots, "MOST_LINES", 3)
    sweep = ended(client, lives)
    refused = client.get(f"/api/v1/compare/plots/nc.json?sweep={sweep}")
    assert (refused.status_code, "4 groups of loss.kind, mix.kind; allowed are 3" in refused.text) == (422, True)
    assert client.get(f"/api/v1/compare/plots/nc.json?sweep={sweep}&group_by=mix.kind").status_code == 200


@pytest.mark.parametrize("way", ["", "/table", "/table.csv"])
def test_the_unknown(client: TestClient, way: str) -> None:
    for sweep in ("0" * 20, "nobody"):
        answer = client.get(f"/api/v1/sweeps/{sweep}{way}")
        assert (answer.status_code, answer.json()["detail"]) == (404, f"There is no sweep {sweep!r}.")


def test_lists_go_on_behind_a_cursor(client: TestClient) -> None:
    made = [post(client, grid={}, seeds=[seed]).json()["id"] for seed in range(3)]
    first = client.get("/api/v1/sweeps?limit=2")
    second = client.get(first.headers["link"].partition(">")[0].lstrip("<"))
    assert [s["id"] for s in (*first.json()["items"], *second.json()["items"])] == made[::-1]
    assert client.get("/api/v1/sweeps?cursor=x").status_code == 422


def test_the_examples_of_a_sweep_are_sweeps(client: TestClient) -> None:
    described = client.get("/openapi.json").json()
    body = described["paths"]["/api/v1/sweeps"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Sweep"}
    assert [len(expand(parse_sweep(e["value"])).cells) for e in body["examples"].values()] == [12, 20]
