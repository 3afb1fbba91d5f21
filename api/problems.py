"""Every error as RFC 9457 `application/problem+json`: what was raised, and how it is said over HTTP."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ncmix import spec
from ncmix.jobs.chunks import DamagedSetError
from ncmix.jobs.cursors import CursorError
from ncmix.jobs.following import FollowError
from ncmix.jobs.idempotency import InFlightError, KeyReusedError
from ncmix.jobs.objects import ObjectError
from ncmix.jobs.parcel import RefusedFileError
from ncmix.jobs.queries import UnknownSetError
from ncmix.jobs.room import NoRoomError
from ncmix.jobs.selecting import SelectionError
from ncmix.jobs.states import NotAllowedError, UnknownExperimentError
from ncmix.jobs.sweep_tables import AxisError
from ncmix.jobs.sweeps import UnknownSweepError
from ncmix.plots import PlotError, PlotOptionError
from ncmix.presets import PresetError
from ncmix.spec import SpecError

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

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:ncmix:problem:invalid-spec",
                    "title": "The spec cannot be used",
                    "status": 422,
                    "detail": "1 field is wrong.",
                    "errors": [
                        {"pointer": "/optimizer/lr", "detail": "-1 must be greater than 0.", "part": "body"},
                    ],
                }
            ]
        }
    )


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
        FieldError(pointer="".join(f"/{step}" for step in detail["loc"]), detail=_sentence(detail)) for detail in found
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


# A problem as a page, for who wants one; else None.
Pages = Callable[[Request, Problem], Response | None]


def install(app: FastAPI, routes: Sequence[BaseRoute], pages: Pages) -> None:
    """Make every error of the application, with these routes, a problem, or one of the `pages`."""
    app.state.routes = [route for route in routes if isinstance(route, Route)]
    for kind, handler in _HANDLERS.items():
        app.add_exception_handler(kind, _either(handler, pages))


def _either(handler: Callable[[Request, Exception], ProblemResponse], pages: Pages) -> Callable[..., Response]:
    def handle(request: Request, error: Exception) -> Response:
        said = handler(request, error)
        page = pages(request, said.said)
        if page is None:
            return said
        page.headers.update({name: value for name, value in said.headers.items() if name in _KEPT})
        return page

    return handle


# The headers of a problem that its page has too.
_KEPT = frozenset({"allow", "retry-after", "vary"})


def _problem(request: Request, error: Exception) -> ProblemResponse:
    return answer(error.problem, error.headers) if isinstance(error, ProblemError) else _internal(request, error)


def _said(status: int, kind: str) -> Callable[[Request, Exception], ProblemResponse]:
    """For an error whose message says it all."""
    return lambda _, error: answer(problem(status, kind, str(error)))


def _cursor(request: Request, error: Exception) -> ProblemResponse:
    wrong = FieldError(pointer="/cursor", detail=str(error), part="query")
    return answer(problem(422, "invalid-parameter", str(error), errors=[wrong]))


def _place(request: Request, error: Exception) -> ProblemResponse:
    part: Literal["header", "query"] = "header" if "last-event-id" in request.headers else "query"
    pointer = "/Last-Event-ID" if part == "header" else "/after"
    wrong = FieldError(pointer=pointer, detail=str(error), part=part)
    return answer(problem(422, "invalid-parameter", str(error), errors=[wrong]))


def _reused(request: Request, error: Exception) -> ProblemResponse:
    wrong = FieldError(pointer="/Idempotency-Key", detail=str(error), part="header")
    return answer(problem(422, "idempotency-key-reused", str(error), errors=[wrong]))


def _in_flight(request: Request, error: Exception) -> ProblemResponse:
    return answer(problem(409, "in-flight", str(error)), {"Retry-After": "1"})


def _spec_from_before(request: Request, error: Exception) -> ProblemResponse:
    """What is on record cannot be used for what was asked; a spec in a body has its errors named field by field."""
    return answer(problem(422, "invalid-spec", " ".join(str(error).split())))


def _http(request: Request, error: Exception) -> ProblemResponse:
    if not isinstance(error, HTTPException):
        return _internal(request, error)
    match error.status_code:
        case 404:
            detail = f"There is nothing at {request.url.path}; the addresses are listed at /docs."
            return answer(problem(404, "not-found", detail))
        case 405:
            allowed = _allowed(request)
            detail = f"{request.method} is not possible at {request.url.path}; allowed is {allowed}."
            return answer(problem(405, "method-not-allowed", detail), {"Allow": allowed})
        case status:
            return answer(problem(status, "http", str(error.detail)), error.headers)


def _allowed(request: Request) -> str:
    """The methods of all routes at this path; the framework knows only those of the first."""
    here = [r for r in request.app.state.routes if r.path_regex.match(request.url.path)]
    return ", ".join(sorted({method for route in here for method in route.methods or ()})) or "GET"


def _invalid(request: Request, error: Exception) -> ProblemResponse:
    """What is wrong with the parameters; bodies are read and judged by ourselves."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    errors = [_parameter(detail) for detail in found]
    names = ", ".join(e.pointer.strip("/") for e in errors)
    return answer(problem(422, "invalid-parameter", f"These parameters cannot be used: {names}.", errors=errors))


def _parameter(detail: Mapping[str, Any]) -> FieldError:
    part, *path = detail["loc"]
    return FieldError(pointer="".join(f"/{step}" for step in path), detail=_sentence(detail), part=part)


def _sentence(detail: Mapping[str, Any]) -> str:
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


def _unavailable(request: Request, error: Exception) -> ProblemResponse:
    _LOG.error("The database did not answer a request: %s", error)
    detail = "The database does not answer, or its schema is not there yet; try again, or see /readyz."
    return answer(problem(503, "unavailable", detail), {"Retry-After": "5"})


def _store(request: Request, error: Exception) -> ProblemResponse:
    _LOG.error("Features cannot be read: %s", error)
    return answer(problem(503, "unavailable", str(error)), {"Retry-After": "5"})


def _internal(request: Request, error: Exception) -> ProblemResponse:
    # Starlette raises the error again behind this answer, so that the server's log has the traceback.
    detail = "This is a fault of the service, not of the request; its log has the details."
    return answer(problem(500, "internal", detail))


_NOT_FOUND, _OPTION = _said(404, "not-found"), _said(422, "invalid-parameter")

_HANDLERS: dict[type[Exception], Any] = {
    ProblemError: _problem,
    UnknownExperimentError: _NOT_FOUND,
    UnknownSweepError: _NOT_FOUND,
    PresetError: _NOT_FOUND,
    PlotError: _NOT_FOUND,
    PlotOptionError: _OPTION,
    AxisError: _OPTION,
    SelectionError: _OPTION,
    RefusedFileError: _said(422, "invalid-file"),
    UnknownSetError: _NOT_FOUND,
    NotAllowedError: _said(409, "not-allowed"),
    SpecError: _spec_from_before,
    KeyReusedError: _reused,
    InFlightError: _in_flight,
    CursorError: _cursor,
    FollowError: _place,
    RequestValidationError: _invalid,
    HTTPException: _http,
    OperationalError: _unavailable,
    InterfaceError: _unavailable,
    PoolTimeoutError: _unavailable,
    DamagedSetError: _store,
    ObjectError: _store,
    NoRoomError: _said(507, "no-room"),
    Exception: _internal,
}
