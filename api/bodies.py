"""What clients send: at most a mebibyte of JSON, and from it a spec or every reason why it is none."""

import json
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api import problems
from ncmix.spec import MOST_EPOCHS, Expansion, Spec, Sweep, SweepError, expand, parse_sweep
from ncmix.spec import problems as problems_of

LIMIT = 2**20

# What is sent there is a file, with a limit of its own.
_FILES = "/api/v1/imports"


class BodyLimit:
    """ASGI middleware that refuses bodies of more than LIMIT bytes, announced or not, but where files are sent."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting what it brings."""
        if scope["type"] != "http" or scope["path"].endswith(_FILES):
            await self.app(scope, receive, send)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and int(length) > LIMIT:
            await problems.answer(_too_large().problem)(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > LIMIT:
                raise _too_large()
            return message

        await self.app(scope, counted, send)


def _too_large() -> problems.ProblemError:
    detail = f"The body is too large; allowed are {LIMIT} bytes (1 MiB)."
    return problems.ProblemError(problems.problem(413, "too-large", detail))


async def _json(request: Request) -> Any:
    """The JSON value in the body; NaN and Infinity pass, so that the spec can name the field they stand in."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        # Browsers send other types to any address without asking; a page elsewhere must not submit experiments.
        detail = f"The content type is {kind!r}; allowed is application/json."
        raise problems.ProblemError(problems.problem(415, "unsupported-media-type", detail))
    body = await request.body()
    try:
        return json.loads(body)
    except json.JSONDecodeError as error:
        detail = f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        raise problems.ProblemError(problems.problem(400, "malformed-json", detail)) from error
    except (ValueError, RecursionError) as error:
        detail = f"The body is not JSON that can be read: {type(error).__name__}."
        raise problems.ProblemError(problems.problem(400, "malformed-json", detail)) from error


async def _spec(request: Request) -> Spec:
    data = await _json(request)
    try:
        return Spec.model_validate(data)
    except ValidationError as error:
        raise problems.invalid_spec(problems_of(error)) from error


# The spec in the body of a request, as a parameter of an endpoint.
PostedSpec = Annotated[Spec, Depends(_spec)]


# What is no assignment is refused with a sentence; the pattern is for who reads of it.
Assignment = Annotated[str, Field(max_length=1000, json_schema_extra={"pattern": "^[^=]+="})]


class Extension(BaseModel):
    """How far a training goes on: `epochs` are all epochs, those that are done included; `set` says what else changes,
    in words such as `schedule=constant`.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    epochs: int = Field(ge=2, le=MOST_EPOCHS, examples=[500])
    set: list[Assignment] = Field([], max_length=20, examples=[["schedule=constant"]])


async def _extension(request: Request) -> Extension:
    data = await _json(request)
    try:
        return Extension.model_validate(data)
    except ValidationError as error:
        raise problems.invalid_body(error.errors(include_url=False)) from error


PostedExtension = Annotated[Extension, Depends(_extension)]


@dataclass(frozen=True)
class Expanded:
    """A sweep and the cells it makes."""

    definition: Sweep
    expansion: Expansion


def _sweep(data: Annotated[Any, Depends(_json)]) -> Expanded:
    # Not in the event loop, as others are: a thousand cells take a tenth of a second.
    try:
        definition = parse_sweep(data)
        return Expanded(definition, expand(definition))
    except SweepError as error:
        raise problems.invalid_sweep(error.problems) from error


# The sweep in the body of a request.
PostedSweep = Annotated[Expanded, Depends(_sweep)]

_EXAMPLES = {
    "shortest": {
        "summary": "Handwritten digits, everything else by default",
        "value": {"dataset": "digits", "model": "mlp", "epochs": 50},
    },
    "mixup": {
        "summary": "CIFAR-10 with mixup after Papyan, Han, Donoho 2020",
        "value": {
            "dataset": "cifar10",
            "model": "resnet18",
            "mix": {"kind": "mixup", "alpha": 1.0},
            "optimizer": {"kind": "sgd", "lr": 0.0679, "weight_decay": 5e-4},
            "schedule": {"kind": "multistep", "milestones": [0.333, 0.667]},
            "epochs": 350,
            "tags": ["papyan-mixup"],
        },
    },
}


def _json_in_openapi(model: type[BaseModel], **more: Any) -> dict[str, Any]:
    """What OpenAPI says of such a body: the endpoint itself sees only what was read from it."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema, **more}}}}


SPEC_IN_OPENAPI = _json_in_openapi(Spec, examples=_EXAMPLES)
EXTENSION_IN_OPENAPI = _json_in_openapi(Extension, example={"epochs": 500, "set": ["schedule=constant"]})

_SWEEPS = {
    "grid": {
        "summary": "Two losses, with and without mixup, three seeds of each",
        "value": {
            "name": "digits-losses",
            "base": {"dataset": "digits", "model": "mlp", "epochs": 50},
            "grid": {"loss": ["cross_entropy", "mse"], "mix": ["none", {"kind": "mixup", "alpha": 1.0}]},
            "seeds": 3,
        },
    },
    "random": {
        "summary": "Twenty points at random, one seed of each",
        "value": {
            "name": "digits-rates",
            "base": {"dataset": "digits", "model": "mlp", "epochs": 50},
            "random": {
                "n": 20,
                "fields": {
                    "optimizer.lr": {"kind": "log_uniform", "low": 1e-3, "high": 0.5},
                    "batch_size": {"kind": "choice", "values": [32, 64, 128]},
                },
            },
        },
    },
}

SWEEP_IN_OPENAPI = _json_in_openapi(Sweep, examples=_SWEEPS)
