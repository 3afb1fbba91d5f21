"""The service describes itself: the vocabulary, the presets, OpenAPI."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient

from ncmix import presets, vocabulary
from ncmix.jobs.states import State
from ncmix.spec import parse

METHODS = {"get", "post", "put", "delete", "patch"}


@pytest.fixture
def described(client: TestClient) -> dict[str, Any]:
    """The OpenAPI document."""
    return client.get("/openapi.json").json()


def operations(described: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path in described["paths"].values():
        yield from (operation for method, operation in path.items() if method in METHODS)


def test_the_vocabulary_is_that_of_the_library_and_of_this_service(client: TestClient):
    answer = client.get("/api/v1/vocabulary").json()
    assert answer.pop("states") == list(get_args(State))
    assert answer.pop("image_folders") == []
    assert answer == vocabulary.read().model_dump(mode="json")
    assert "alpha" in answer["axes"]["mix"]["mixup"]["fields"]
    assert "batch_size" in answer["spec"]["properties"]


def test_a_preset_is_shown_whole_at_a_scale(client: TestClient):
    small = client.get("/api/v1/presets/losses-equal?scale=small").json()
    assert [parse(spec) for spec in small["specs"]] == list(presets.load("losses-equal", "small").specs)
    assert small["scale"] == "small"
    assert client.get("/api/v1/presets").json()["items"][0]["scale"] == "full"
    assert client.get("/api/v1/presets/losses-equal?scale=tiny").status_code == 422
    assert "losses-equal" in client.get("/api/v1/presets/losses").json()["detail"]


def test_a_preset_is_submitted_by_its_name_all_or_none(client: TestClient):
    shown = {preset["name"]: preset for preset in client.get("/api/v1/presets").json()["items"]}
    assert list(shown) == list(presets.names())
    answer = client.post("/api/v1/presets/digits-mixup")
    assert answer.status_code == 201
    items = answer.json()["items"]
    assert [item["spec"] for item in items] == shown["digits-mixup"]["specs"]
    again = client.post("/api/v1/presets/digits-mixup")
    assert again.status_code == 200
    assert [item["id"] for item in again.json()["items"]] == [item["id"] for item in items]
    assert len(client.get("/api/v1/experiments").json()["items"]) == len(items)
    assert client.post("/api/v1/presets/digits-mixup?rerun=true").status_code == 201
    small = client.post("/api/v1/presets/digits-mixup?scale=small").json()["items"]
    assert [item["epochs"] for item in small] == [60, 60]
    assert client.post("/api/v1/presets/digits-mixup?scale=tiny").status_code == 422


def test_an_unknown_preset_names_those_there_are(client: TestClient):
    answer = client.post("/api/v1/presets/nonsense")
    assert answer.status_code == 404
    assert "digits-mixup" in answer.json()["detail"]


def test_operations_have_names_of_their_own_and_say_what_they_are_for(described: dict[str, Any]):
    assert described["openapi"].startswith("3.1")
    names = [operation["operationId"] for operation in operations(described)]
    assert len(names) == len(set(names))
    assert {"submit_experiment", "get_metrics_csv", "compare_plots"} <= set(names)
    assert all(operation["description"].endswith(".") for operation in operations(described))


def test_every_error_is_described_as_a_problem(described: dict[str, Any]):
    for operation in operations(described):
        failures = {s: r for s, r in operation["responses"].items() if s >= "400"}
        assert "500" in failures
        for response in failures.values():
            schema = response["content"]["application/problem+json"]["schema"]
            assert schema == {"$ref": "#/components/schemas/Problem"}
        if any(p["in"] == "path" for p in operation.get("parameters", [])):
            assert "404" in failures, operation["operationId"]
        if any(p["in"] == "query" for p in operation.get("parameters", [])):
            assert "422" in failures, operation["operationId"]


def test_every_answer_is_typed(described: dict[str, Any]):
    for operation in operations(described):
        for status, response in operation["responses"].items():
            if status not in ("204", "304"):
                assert all(media["schema"] for media in response["content"].values()), operation["operationId"]


def test_every_reference_leads_somewhere(described: dict[str, Any]):
    schemas = described["components"]["schemas"]

    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    missing = {r for r in references(described) if r.removeprefix("#/components/schemas/") not in schemas}
    assert not missing
    assert "HTTPValidationError" not in schemas


def test_the_examples_of_a_spec_are_specs(described: dict[str, Any]):
    body = described["paths"]["/api/v1/experiments"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Spec"}
    for example in body["examples"].values():
        parse(example["value"])


def test_the_description_can_be_read(client: TestClient):
    assert client.get("/docs").status_code == 200
