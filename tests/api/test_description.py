"""The service describes itself: the vocabulary, the presets, OpenAPI."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import jsonschema_rs
import pytest
from fastapi.testclient import TestClient

from api import snapshot
from api.permissions import NEEDED
from ncmix import presets, vocabulary
from ncmix.jobs.states import State
from ncmix.spec import parse

METHODS = {"get", "post", "put", "delete", "patch"}
ROOT = Path(__file__).parent.parent.parent
# The OpenAPI document, or a part of it.
Document = dict[str, Any]


@pytest.fixture(scope="module")
def described() -> Document:
    """The OpenAPI document."""
    return json.loads(snapshot.text())


def operations(described: Document) -> Iterator[Document]:
    for path in described["paths"].values():
        yield from (operation for method, operation in path.items() if method in METHODS)


def resolved(described: Document, value: Document) -> Document:
    """What a reference stands for."""
    found = described if "$ref" in value else value
    for step in value.get("$ref", "").split("/")[1:]:
        found = found[step]
    return found


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


def test_operations_have_names_of_their_own_and_say_what_they_are_for(described: Document):
    assert described["openapi"].startswith("3.1")
    names = [operation["operationId"] for operation in operations(described)]
    assert len(names) == len(set(names))
    assert {"submit_experiment", "get_metrics_csv", "compare_plots"} <= set(names)
    groups = {tag["name"]: tag["description"] for tag in described["tags"]}
    for operation in operations(described):
        # Not what FastAPI makes of the name of the function.
        assert operation["summary"] != operation["operationId"].replace("_", " ").title()
        assert operation["description"].endswith(".")
        assert groups[operation["tags"][0]].endswith(".")
        for parameter in operation.get("parameters", []):
            assert (parameter.get("description") or parameter["schema"]["description"]).endswith(".")
            assert {"type": "null"} not in parameter["schema"].get("anyOf", [])


def test_every_error_is_described_as_a_problem(described: Document):
    for operation in operations(described):
        failures = {s: resolved(described, r) for s, r in operation["responses"].items() if s >= "400"}
        assert "500" in failures
        for status, response in failures.items():
            media = response["content"]["application/problem+json"]
            assert media["schema"] == {"$ref": "#/components/schemas/Problem"}
            assert {example["value"]["status"] for example in media["examples"].values()} == {int(status)}
        if any(p["in"] == "path" for p in operation.get("parameters", [])):
            assert "404" in failures, operation["operationId"]
        if any(p["in"] == "query" for p in operation.get("parameters", [])):
            assert "422" in failures, operation["operationId"]


def test_every_answer_is_typed(described: Document):
    for operation in operations(described):
        for status, response in operation["responses"].items():
            if status not in ("204", "304"):
                media = resolved(described, response)["content"]
                assert all(said["schema"] for said in media.values()), operation["operationId"]


def test_who_may_ask_is_said_with_the_scope(described: Document):
    assert set(described["components"]["securitySchemes"]) == {"key", "cookie"}
    for operation in operations(described):
        need = NEEDED[operation["operationId"]]
        assert operation["security"] == ([{"key": [need]}, {"cookie": [need]}] if need else [])
        assert ("401" in operation["responses"]) == (need is not None)


def test_links_lead_to_operations_that_take_an_id(described: Document):
    known = {operation["operationId"]: operation for operation in operations(described)}
    links = described["components"]["links"]
    for link in links.values():
        taken = {parameter["name"] for parameter in known[link["operationId"]]["parameters"]}
        assert link["parameters"].keys() <= taken
    for status in ("200", "201"):
        leads = known["submit_experiment"]["responses"][status]["links"]
        assert {"get_experiment", "cancel_experiment", "delete_experiment"} <= leads.keys() <= links.keys()


# What is no text has no example that could be read.
BINARY = {"type": "string", "format": "binary"}


def test_every_body_and_every_answer_has_an_example_that_fits_its_schema(described: Document):
    for operation in operations(described):
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media, said in [pair for body in bodies for pair in resolved(described, body).get("content", {}).items()]:
            shown = examples(described, said)
            assert shown or said["schema"] == BINARY or media == "text/html", (operation["operationId"], media)
            for example in shown:
                if media == "text/event-stream":
                    continue  # The schema is that of one event.
                fits(described, said["schema"], example)


def examples(described: Document, said: Document) -> list[Any]:
    """Those of a body, or else that of its schema."""
    own = [said["example"]] if "example" in said else []
    own += [example["value"] for example in said.get("examples", {}).values()]
    alternatives = said["schema"].get("anyOf", [said["schema"]])
    return own or [one for each in alternatives for one in resolved(described, each).get("examples", [])]


def fits(described: Document, schema: Document, example: Any) -> None:
    """Raise an error that says where an example is not as its schema has it."""
    whole = {"allOf": [schema], "components": described["components"]}
    jsonschema_rs.validator_for(whole, validate_formats=True).validate(example)


def test_what_can_be_said_in_a_schema_is_said(described: Document):
    """An editor that knows the schema finds these before they are sent."""
    spec = {"dataset": "digits", "model": "mlp"}
    for wrong in (
        {"model": "timm"},  # needs a name
        {"schedule": {"final": 0.1}},  # of which kind?
        {"schedule": {"kind": "multistep", "milestones": [1.5]}},
        {"measure": {"geometry": {"classes": [1, 1, 2]}}},
        {"measure": {"splits": ["train", "train"]}},
        {"optimiser": "sgd"},
    ):
        with pytest.raises(jsonschema_rs.ValidationError):
            fits(described, {"$ref": "#/components/schemas/Spec"}, spec | wrong)
    for preset in presets.names():
        for each in presets.load(preset).specs:
            fits(described, {"$ref": "#/components/schemas/Spec"}, each.model_dump(mode="json"))
    with pytest.raises(jsonschema_rs.ValidationError):
        fits(described, {"$ref": "#/components/schemas/Sweep"}, {"grid": {"not a path": [1]}})


def test_every_reference_leads_somewhere(described: Document):
    def references(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            yield from ([value["$ref"]] if "$ref" in value else [])
            for inner in value.values():
                yield from references(inner)
        elif isinstance(value, list):
            for inner in value:
                yield from references(inner)

    for reference in references(described):
        assert resolved(described, {"$ref": reference})
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_the_examples_of_a_spec_are_specs(described: Document):
    body = described["paths"]["/api/v1/experiments"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"] == {"$ref": "#/components/schemas/Spec"}
    for example in body["examples"].values():
        parse(example["value"])


def test_the_document_is_the_one_that_was_read(described: Document):
    kept = json.loads((ROOT / "docs" / "openapi.json").read_text())
    differ = list(differences(kept, described))
    assert not differ, f"docs/openapi.json is not what the API says of itself; make openapi renews it. {differ}"


def test_a_service_shows_the_document_as_it_is_whatever_its_settings(client: TestClient, described: Document):
    assert client.get("/openapi.json").json() == described


def differences(old: Any, new: Any, at: str = "") -> Iterator[str]:
    """The JSON Pointers at which two values differ, each with what was there and what is there."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in [*old, *(name for name in new if name not in old)]:
            here = f"{at}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in new or name not in old:
                yield f"{here} is {'gone' if name in old else 'new'}"
            else:
                yield from differences(old[name], new[name], here)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, f"{at}/{place}")
    elif old != new:
        yield f"{at} was {old!r:.80} and is {new!r:.80}"
