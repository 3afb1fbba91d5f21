"""The gate in front of every address: who asks, may they, and not too often.

A key comes as `Authorization: Bearer …`, or in the cookie that /login sets. As long as there is no key at all, this
machine may do everything and nobody else anything.
"""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from sqlalchemy.exc import DBAPIError
from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api import handlers, permissions, problems
from api.context import Context
from api.guard import Visitor
from api.problems import ProblemError, problem
from ncmix.jobs import scopes

COOKIE = "ncmix_key"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_REALM = 'Bearer realm="ncmix"'


@dataclass(frozen=True)
class _Given:
    """The text of a key, and whether a browser sent it of its own accord."""

    text: str
    by_cookie: bool


class Gate:
    """ASGI middleware that lets through what permissions.NEEDED allows; the visitor is then in the request's state."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request pass, or answer it here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = HTTPConnection(scope)
        try:
            scope.setdefault("state", {})["visitor"] = await _admit(request, request.app.state.context)
        except ProblemError as error:
            await _refusal(request, error)(scope, receive, send)
        except DBAPIError as error:
            await handlers.unavailable(request, error)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


async def _admit(request: HTTPConnection, service: Context) -> Visitor | None:
    """Who asks; None for somebody without a key who may.

    Raises:
        ProblemError: 401, 403 or 429.
        DBAPIError: the record, which would know, does not answer.
    """
    given = _given(request)
    _refuse_other_sites(request, given)
    need = permissions.needed(request.app.state.addresses, request.scope)
    if need is None:
        return None
    asks = service.guard.asks()
    if not (await run_in_threadpool(service.guard.look) if asks is None else asks):
        _refuse_strangers(request, service)
        return None
    if given is None:
        raise _unauthorized("A key is needed: Authorization: Bearer ncmix_…, or log in at /login.")
    visitor = await identify(request, service, given.text)
    if not scopes.allows(visitor.scope, need):
        detail = f"The scope of this key is {visitor.scope}; needed is {need}."
        headers = {"WWW-Authenticate": f'{_REALM}, error="insufficient_scope", scope="{need}"'}
        raise ProblemError(problem(403, "forbidden", detail), headers)
    # What a key may do that only reads is no change, though its input is so long that it is posted: forms that are
    # judged while somebody writes.
    if request.scope["method"] not in _SAFE and need != "read":
        await _count_change(service, visitor)
    return visitor


async def identify(request: HTTPConnection, service: Context, text: str) -> Visitor:
    """Whose key a text is; a wrong one is counted against the address that sent it.

    Raises:
        ProblemError: 401, or 429 after too many wrong ones.
        DBAPIError: the record does not answer.
    """
    if visitor := service.guard.remember(text):
        return visitor
    return await run_in_threadpool(_identify, service, request.client.host if request.client else "", text)


def _identify(service: Context, address: str, text: str) -> Visitor:
    rate = service.settings.failure_rate
    if wait := service.limiter.spent(rate, "failure", address):
        raise _too_many(f"Too many wrong keys came from here; allowed are {rate}.", wait)
    if visitor := service.guard.identify(text):
        return visitor
    service.limiter.hit(rate, "failure", address)
    raise _unauthorized("This is no key of this service, or it has ended.", 'error="invalid_token"')


async def _count_change(service: Context, visitor: Visitor) -> None:
    rate = service.settings.change_rate
    if wait := await run_in_threadpool(service.limiter.hit, rate, "change", visitor.key_id):
        raise _too_many(f"Too many changes with this key; allowed are {rate}.", wait)


def _given(request: HTTPConnection) -> _Given | None:
    header = request.headers.get("authorization")
    if header is None:
        cookie = request.cookies.get(COOKIE)
        return _Given(cookie, by_cookie=True) if cookie else None
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "bearer" or not text.strip():
        raise _unauthorized("The header Authorization cannot be read; allowed is Bearer, a space and a key.")
    return _Given(text.strip(), by_cookie=False)


def _refuse_other_sites(request: HTTPConnection, given: _Given | None) -> None:
    """Refuse a change that a page of another site makes a browser send; the cookie's SameSite is the first lock."""
    if request.scope["method"] in _SAFE or (given and not given.by_cookie):
        return
    origin = request.headers.get("origin")
    if origin is None and given is None:
        return  # No browser: those say where a change comes from.
    if origin is None or urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower():
        detail = f"The request comes from a page of {origin or 'an unknown site'}; allowed are those of this service."
        raise ProblemError(problem(403, "cross-site", detail))


def _refuse_strangers(request: HTTPConnection, service: Context) -> None:
    """Without keys: refuse a name that is not this machine's. A page elsewhere can give its own name our address."""
    host = urlsplit(f"//{request.headers.get('host', '')}").hostname or ""
    if not (service.settings.trusted_network or is_loopback(host)):
        detail = f"Without API keys this service is for its own machine alone; {host!r} is not a name of it."
        raise ProblemError(problem(403, "forbidden", detail))


@lru_cache
def is_loopback(host: str) -> bool:
    """Whether a name or address is always of this machine itself."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refusal(request: HTTPConnection, error: ProblemError) -> Response:
    """The problem; a person in front of a browser is asked for a key instead."""
    wants_page = "text/html" in request.headers.get("accept", "") and request.scope["method"] == "GET"
    if error.problem.status == 401 and wants_page:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(request.url_for("login_page").include_query_params(then=request.url.path + query), 303)
    return problems.answer(error.problem, error.headers)


def _unauthorized(detail: str, more: str = "") -> ProblemError:
    challenge = f"{_REALM}, {more}" if more else _REALM
    return ProblemError(problem(401, "unauthorized", detail), {"WWW-Authenticate": challenge})


def _too_many(detail: str, seconds: int) -> ProblemError:
    return ProblemError(problem(429, "too-many-requests", detail), {"Retry-After": str(seconds)})
