"""Every error as RFC 9457 `application/problem+json`: what was raised, and how it is said over HTTP."""

import json
import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from starlette.responses import Response

from ncmix import spec

MEDIA_TYPE = "application/problem+json"
_LOG = logging.getLogger(__name__)


class FieldError(BaseModel):
    """One thing wrong with a request: in which part of it, a JSON Pointer to the field there, and a sentence."""

    pointer: str
    detail: str
    part: Literal["body", "query", "path", "header"] = "body"


class Problem(BaseModel):
    """Why a request failed (RFC 9457). `type` is for machines, `detail` for people."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []


class ProblemError(Exception):
    """Ends a request with this problem."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem, self.headers = problem, headers


def problem(
    status: int, kind: str, detail: str, *, title: str | None = None, errors: Sequence[FieldError] = ()
) -> Problem:
    """A problem of our own kinds; the title is the status's unless given."""
    return Problem(
        type=f"urn:ncmix:problem:{kind}",
        title=title or phrase(status),
        status=status,
        detail=detail,
        errors=list(errors),
    )


def phrase(status: int) -> str:
    """What a status is called in RFC 9110, whichever version of Python is asked."""
    return {413: "Content Too Large", 422: "Unprocessable Content"}.get(status) or HTTPStatus(status).phrase


def invalid_spec(found: Sequence[spec.Problem]) -> ProblemError:
    """422 for a spec, with one error a field."""
    errors = [FieldError(pointer=p.pointer, detail=p.message) for p in found]
    detail = "1 field is wrong." if len(errors) == 1 else f"{len(errors)} fields are wrong."
    return ProblemError(problem(422, "invalid-spec", detail, title="The spec cannot be used", errors=errors))


def invalid_sweep(found: Sequence[spec.Problem]) -> ProblemError:
    """422 for a sweep, with one error for each thing that is wrong, in however many cells."""
    errors = [FieldError(pointer=p.pointer, detail=p.message) for p in found]
    detail = "1 thing is wrong." if len(errors) == 1 else f"{len(errors)} things are wrong."
    return ProblemError(problem(422, "invalid-sweep", detail, title="The sweep cannot be used", errors=errors))


def invalid_body(found: Sequence[Mapping[str, Any]]) -> ProblemError:
    """422 for a body that is no spec, with one error a field."""
    errors = [
        FieldError(pointer="".join(f"/{step}" for step in detail["loc"]), detail=sentence(detail)) for detail in found
    ]
    names = ", ".join(e.pointer.strip("/") or "the body" for e in errors)
    return ProblemError(problem(422, "invalid-body", f"These fields cannot be used: {names}.", errors=errors))


class ProblemResponse(Response):
    """The response that carries a problem."""

    def __init__(self, said: Problem, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(said.model_dump(), ensure_ascii=False).encode("utf-8", "backslashreplace")
        # The same address answers a browser's user with a page.
        super().__init__(body, said.status, {**(headers or {}), "Vary": "Accept"}, MEDIA_TYPE)
        self.said = said


def answer(said: Problem, headers: Mapping[str, str] | None = None) -> ProblemResponse:
    """The problem as it is sent."""
    return ProblemResponse(said, headers)


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of these statuses of an operation."""
    schema = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {s: {"description": phrase(s), "content": {MEDIA_TYPE: schema}} for s in statuses}


def sentence(detail: Mapping[str, Any]) -> str:
    """What pydantic found, in our words."""
    match detail["type"]:
        case "missing":
            return "It is required."
        case "extra_forbidden":
            return "There is no such parameter here."
        case "value_error":
            return f"{detail['ctx']['error']}."
        case _:
            text = detail["msg"].replace("Input should", "should").replace("should be", "must be")
            return f"{detail['input']!r:.80} {text}."
