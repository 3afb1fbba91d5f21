"""What OpenAPI says of the service: what FastAPI can see, and what it cannot.

It cannot see the spec in a body, who may ask for what (the gate sees to that), the problems that any address may
answer, how one answer leads to the next request, and what answers look like.
"""

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import examples, models, problems
from api.bodies import Extension
from api.gate import COOKIE
from api.permissions import NEEDED
from ncmix.spec import Spec, Sweep

# A part of the document.
Described = dict[str, Any]

TAGS: list[dict[str, Any]] = [
    {"name": "experiments", "description": "Submit experiments, find them, and change their course."},
    {"name": "results", "description": "What an experiment has given so far, or gives right now."},
    {"name": "features", "description": "Last-layer features and other arrays."},
    {"name": "exports", "description": "An experiment as one file, and such a file as an experiment."},
    {"name": "plots", "description": "Pictures by addresses that stay, and the numbers in them."},
    {"name": "sweeps", "description": "Many experiments by one request, and their table."},
    {"name": "vocabulary", "description": "What can be asked for: kinds, metrics, presets."},
    {"name": "health", "description": "Whether the service lives, and how it fares."},
]

_REF = "#/components/schemas/{model}"
# What no signature names.
_UNNAMED: tuple[type[BaseModel], ...] = (
    Spec,
    Sweep,
    Extension,
    problems.Problem,
    models.PlotData,
    models.NewMetrics,
    models.NewOutput,
    models.End,
)
_OPEN = "As long as the service has no key at all, whoever asks from its own machine needs none."
_SECURITY_SCHEMES: dict[str, Described] = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "ncmix_…",
        "description": f"A key of `ncmix keys create`, whose scope is read, submit or admin. {_OPEN}",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"The same key, as /login leaves it in a browser. {_OPEN}",
    },
}
# What FastAPI says where nobody has said anything.
_UNDESCRIBED = "Successful Response"
_SAFE = frozenset({"get", "head"})
_RETRY_AFTER = {"Retry-After": {"description": "Seconds to wait", "schema": {"type": "integer"}}}
_PROBLEM_HEADERS: dict[int, Described] = {
    401: {"WWW-Authenticate": {"description": "Bearer, and why", "required": True, "schema": {"type": "string"}}},
    409: _RETRY_AFTER,
    429: {"Retry-After": {**_RETRY_AFTER["Retry-After"], "required": True}},
    503: _RETRY_AFTER,
}

_OF_EXPERIMENTS = (
    "get_experiment",
    "stream_experiment",
    "get_metrics",
    "get_log",
    "get_events",
    "list_features",
    "list_plots",
    "export_zip",
    "cancel_experiment",
    "pause_experiment",
    "resume_experiment",
    "retry_experiment",
    "extend_experiment",
    "delete_experiment",
)
_OF_SWEEPS = ("get_sweep", "get_sweep_table", "cancel_sweep", "retry_sweep", "delete_sweep")
# What can be asked next of what an operation has made: it takes the id that was answered.
_LEADS_TO = {
    "submit_experiment": _OF_EXPERIMENTS,
    "import_experiment": _OF_EXPERIMENTS,
    "retry_experiment": _OF_EXPERIMENTS,
    "extend_experiment": _OF_EXPERIMENTS,
    "submit_sweep": _OF_SWEEPS,
    "retry_sweep": _OF_SWEEPS,
}


def describe(app: FastAPI) -> Described:
    """The OpenAPI document of the application; made once."""
    if app.openapi_schema is None:
        app.openapi_schema = _completed(
            get_openapi(
                title=app.title,
                version=app.version,
                openapi_version=app.openapi_version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                license_info=app.license_info,
                tags=TAGS,
            )
        )
    return app.openapi_schema


def _completed(described: Described) -> Described:
    components: Described = described["components"]
    _, found = models_json_schema([(model, "validation") for model in _UNNAMED], ref_template=_REF)
    components["schemas"].update(found["$defs"])
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    for answer in examples.answers():
        components["schemas"][type(answer).__name__]["examples"] = [answer.model_dump(mode="json")]
    components["securitySchemes"] = _SECURITY_SCHEMES
    components["responses"] = {_name(status): _failure(status) for status in _failures()}
    summaries = {o["operationId"]: o["summary"] for _, o in operations(described)}
    components["links"] = {name: _link(name, summaries[name]) for name in (*_OF_EXPERIMENTS, *_OF_SWEEPS)}
    for method, operation in operations(described):
        _complete(method, operation, components["schemas"])
    return described


def operations(described: Described) -> Iterator[tuple[str, Described]]:
    """Every operation, with its method."""
    for path in described["paths"].values():
        yield from path.items()


def _complete(method: str, operation: Described, schemas: Described) -> None:
    need = NEEDED[operation["operationId"]]
    operation["security"] = [{scheme: [need]} for scheme in _SECURITY_SCHEMES] if need else []
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _never_null(parameter["schema"])
    answered: Described = operation["responses"]
    refused = _refused(answered) | _of_gate(method, guarded=need is not None)
    kept = {status: response for status, response in answered.items() if status < "400"}
    for status, response in kept.items():
        _complete_answer(status, response, _LEADS_TO.get(operation["operationId"], ()), schemas)
    shared = {str(status): {"$ref": f"#/components/responses/{_name(status)}"} for status in sorted(refused)}
    operation["responses"] = kept | shared


def _complete_answer(status: str, response: Described, leads_to: tuple[str, ...], schemas: Described) -> None:
    if response["description"] == _UNDESCRIBED:
        response["description"] = _told(schemas, response)
    for media in response.get("content", {}).values():
        # FastAPI's word for a stream's schema, which OpenAPI 3.1 does not have; ours is under `schema`.
        media.pop("itemSchema", None)
    # What was planned and not made has no id.
    if leads_to and status in ("200", "201") and not _may_be_a_plan(response):
        response["links"] = {name: {"$ref": f"#/components/links/{name}"} for name in leads_to}


def _may_be_a_plan(response: Described) -> bool:
    return "anyOf" in response["content"]["application/json"]["schema"]


def _refused(answered: Described) -> set[int]:
    """The statuses of problems of the endpoint's own; FastAPI's form of a 422 is never sent."""
    return {int(status) for status, response in answered.items() if problems.MEDIA_TYPE in response.get("content", ())}


def _told(schemas: Described, response: Described) -> str:
    """What the model says of itself in its first sentence; where there is none nothing is sent."""
    media = response.get("content", {}).get("application/json")
    if media is None:
        return "It is done."
    said = schemas[media["schema"]["$ref"].rpartition("/")[2]]["description"]
    return " ".join(said.split()).split(". ")[0].rstrip(".") + "."


def _of_gate(method: str, *, guarded: bool) -> set[int]:
    """The statuses with which a request is refused before its endpoint sees it."""
    asked_for_a_key = {401, 403, 429, 503} if guarded else set()
    return asked_for_a_key if method in _SAFE else asked_for_a_key | {403, 413}


def _never_null(schema: Described) -> Described:
    """A parameter that may be left out: what is written in an address or a header is never null."""
    several = [each for each in schema.get("anyOf", ()) if each != {"type": "null"}]
    if "anyOf" not in schema or len(several) > 1:
        return schema
    return {**several[0], **{key: value for key, value in schema.items() if key != "anyOf"}}


def _failures() -> dict[int, list[problems.Problem]]:
    told: dict[int, list[problems.Problem]] = {}
    for problem in examples.failures():
        told.setdefault(problem.status, []).append(problem)
    return told


def _failure(status: int) -> Described:
    """A response with a problem, as every operation refers to it."""
    shown = {p.type.rpartition(":")[2]: {"value": p.model_dump(mode="json")} for p in _failures()[status]}
    content = {"schema": {"$ref": _REF.format(model="Problem")}, "examples": shown}
    described: Described = {"description": problems.phrase(status), "content": {problems.MEDIA_TYPE: content}}
    return described | ({"headers": _PROBLEM_HEADERS[status]} if status in _PROBLEM_HEADERS else {})


def _name(status: int) -> str:
    return problems.phrase(status).replace(" ", "")


def _link(operation: str, summary: str) -> Described:
    return {"operationId": operation, "parameters": {"id": "$response.body#/id"}, "description": f"{summary}."}
