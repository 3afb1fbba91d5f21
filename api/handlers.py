"""What was raised, and which problem it is over HTTP: one table of errors, installed once."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api import headers
from api.problems import FieldError, Problem, ProblemError, ProblemResponse, answer, problem, sentence
from ncmix.jobs.chunks import DamagedSetError
from ncmix.jobs.cursors import CursorError
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

_LOG = logging.getLogger(__name__)


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


def _not_found(request: Request, error: Exception) -> ProblemResponse:
    return answer(problem(404, "not-found", str(error)))


def _conflict(request: Request, error: Exception) -> ProblemResponse:
    return answer(problem(409, "not-allowed", str(error)))


def _cursor(request: Request, error: Exception) -> ProblemResponse:
    wrong = FieldError(pointer="/cursor", detail=str(error), part="query")
    return answer(problem(422, "invalid-parameter", str(error), errors=[wrong]))


def _reused(request: Request, error: Exception) -> ProblemResponse:
    wrong = FieldError(pointer="/Idempotency-Key", detail=str(error), part="header")
    return answer(problem(422, "idempotency-key-reused", str(error), errors=[wrong]))


def _in_flight(request: Request, error: Exception) -> ProblemResponse:
    return answer(problem(409, "in-flight", str(error)), {"Retry-After": "1"})


def _spec_from_before(request: Request, error: Exception) -> ProblemResponse:
    """What is on record cannot be used for what was asked; a spec in a body has its errors named field by field."""
    return answer(problem(422, "invalid-spec", " ".join(str(error).split())))


def _option(request: Request, error: Exception) -> ProblemResponse:
    return answer(problem(422, "invalid-parameter", str(error)))


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
    return FieldError(pointer="".join(f"/{step}" for step in path), detail=sentence(detail), part=part)


def unavailable(request: HTTPConnection, error: Exception) -> ProblemResponse:
    """503: the record does not answer."""
    _LOG.error("The database did not answer a request: %s", error)
    detail = "The database does not answer, or its schema is not there yet (python -m ncmix.jobs.migrate); try again."
    return answer(problem(503, "unavailable", detail), {"Retry-After": "5"})


def _store(request: Request, error: Exception) -> ProblemResponse:
    _LOG.error("Features cannot be read: %s", error)
    return answer(problem(503, "unavailable", str(error)), {"Retry-After": "5"})


def _refused(request: Request, error: Exception) -> ProblemResponse:
    return answer(problem(422, "invalid-file", str(error)))


def _no_room(request: Request, error: Exception) -> ProblemResponse:
    return answer(problem(507, "no-room", str(error)))


def _internal(request: Request, error: Exception) -> ProblemResponse:
    # Starlette raises the error again behind this answer, so that the server's log has the traceback.
    detail = "This is a fault of the service, not of the request; its log has the details."
    # Beyond our own middleware: its headers have to be given here.
    return answer(problem(500, "internal", detail), headers.ALWAYS)


_HANDLERS: dict[type[Exception], Any] = {
    ProblemError: _problem,
    UnknownExperimentError: _not_found,
    UnknownSweepError: _not_found,
    PresetError: _not_found,
    PlotError: _not_found,
    PlotOptionError: _option,
    AxisError: _option,
    SelectionError: _option,
    RefusedFileError: _refused,
    UnknownSetError: _not_found,
    NotAllowedError: _conflict,
    SpecError: _spec_from_before,
    KeyReusedError: _reused,
    InFlightError: _in_flight,
    CursorError: _cursor,
    RequestValidationError: _invalid,
    HTTPException: _http,
    OperationalError: unavailable,
    InterfaceError: unavailable,
    PoolTimeoutError: unavailable,
    DamagedSetError: _store,
    ObjectError: _store,
    NoRoomError: _no_room,
    Exception: _internal,
}
