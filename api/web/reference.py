"""Every address of the API as OpenAPI describes it, as a page that is whole without a script and without internet."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from api.web.rendering import page
from api.web.schemas import Field, Schema, Word, fields, worded

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Shown:
    """A body, asked for or answered: its media types, its form, and examples by what they show."""

    media: list[str]
    words: list[Word]
    examples: dict[str, str]


@dataclass(frozen=True)
class Answer:
    """What may come of it."""

    status: str
    description: str
    body: Shown


@dataclass(frozen=True)
class Operation:
    """One thing that can be asked."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    scope: str
    parameters: list[Field]
    body: Shown | None
    answers: list[Answer]
    curl: str


@dataclass(frozen=True)
class Group:
    """Operations that have to do with each other."""

    name: str
    description: str
    operations: list[Operation]


@dataclass(frozen=True)
class Model:
    """A form that bodies have."""

    name: str
    description: str
    words: list[Word]
    fields: list[Field]


@router.get("/docs")
def docs(request: Request) -> Response:
    """The reference."""
    document = request.app.openapi()
    url = str(request.base_url).rstrip("/")
    return page(request, "reference.html", groups=_groups(document, url), models=_models(document))


def _groups(document: Schema, url: str) -> list[Group]:
    asked = [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    return [
        Group(
            tag["name"],
            tag["description"],
            [_operation(document, url, *each) for each in asked if tag["name"] in each[2]["tags"]],
        )
        for tag in document["tags"]
    ]


def _operation(document: Schema, url: str, path: str, method: str, operation: Schema) -> Operation:
    parameters = operation.get("parameters", [])
    body = operation.get("requestBody")
    shown = None if body is None else _shown(document, body["content"])
    return Operation(
        id=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation["description"],
        scope=next((scheme["key"][0] for scheme in operation["security"] if "key" in scheme), ""),
        parameters=[
            Field.of(p["name"], p["schema"], required=p.get("required", False), place=p["in"]) for p in parameters
        ],
        body=shown,
        answers=[_answer(document, status, said) for status, said in operation["responses"].items()],
        curl=_curl(method.upper(), url + path, operation, shown),
    )


def _answer(document: Schema, status: str, said: Schema) -> Answer:
    response = _resolved(document, said)
    return Answer(status, response["description"], _shown(document, response.get("content", {})))


def _shown(document: Schema, content: Schema) -> Shown:
    words, examples = [], {}
    for media in content.values():
        words = worded(media["schema"])
        examples.update(_examples(document, media))
    return Shown(list(content), words, {name: _written(value) for name, value in examples.items()})


def _examples(document: Schema, media: Schema) -> Iterator[tuple[str, Any]]:
    """Those of the body, or else that of its schema."""
    if "example" in media:
        yield "", media["example"]
    for name, example in media.get("examples", {}).items():
        yield example.get("summary", name), example["value"]
    if not {"example", "examples"} & media.keys():
        alternatives = media["schema"].get("anyOf", [media["schema"]])
        yield from (
            (e.get("$ref", "").rpartition("/")[2], v)
            for e in alternatives
            for v in _resolved(document, e).get("examples", ())
        )


def _resolved(document: Schema, value: Schema) -> Schema:
    found = value
    if "$ref" in value:
        found = document
        for step in value["$ref"].removeprefix("#/").split("/"):
            found = found[step]
    return found


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _curl(method: str, address: str, operation: Schema, body: Shown | None) -> str:
    """A command that asks for it, with the examples there are."""
    asked = []
    for parameter in operation.get("parameters", []):
        name, schema = parameter["name"], parameter["schema"]
        if parameter["in"] == "path":
            address = address.replace(f"{{{name}}}", _example(schema))
        elif parameter["in"] == "query" and (parameter.get("required") or schema.get("x-needed")):
            asked.append(f"{name}={_example(schema)}")
    address = shlex.quote(f"{address}?{'&'.join(asked)}") if asked else address
    lines = [f"curl {address}" if method == "GET" else f"curl -X {method} {address}"]
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $NCMIX_API_KEY"')
    if body is not None:
        example = next(iter(body.examples.values()), None)
        lines.append(f"-H 'Content-Type: {body.media[0]}'")
        lines.append("--data-binary @experiment.zip" if example is None else f"-d {shlex.quote(example)}")
    return " \\\n  ".join(lines)


def _example(schema: Schema) -> str:
    return str(next(iter(schema.get("examples") or schema.get("enum") or ("name",))))


def _models(document: Schema) -> list[Model]:
    return [
        Model(name, schema.get("description", ""), worded(schema), fields(schema))
        for name, schema in sorted(document["components"]["schemas"].items())
    ]
