"""How a browser gets in: a form takes a key and leaves it in a cookie that no script can read."""

from collections.abc import Mapping
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import RedirectResponse

from api.context import Service
from api.gate import COOKIE, identify
from api.problems import ProblemError
from api.web.rendering import page

router = APIRouter(include_in_schema=False)

_WEEK = 7 * 24 * 3600


@router.get("/login")
async def login_page(request: Request, then: Annotated[str, Query()] = "/") -> Response:
    """A form for a key."""
    return _page(request, then)


@router.post("/login")
async def log_in(request: Request, service: Service, then: Annotated[str, Query()] = "/") -> Response:
    """Take the key of the form `key=…`; if it is one, keep it in a cookie and go on to `then`."""
    fields = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=10)
    text = fields.get("key", [""])[0].strip()
    try:
        await identify(request, service, text)
    except ProblemError as error:
        return _page(request, then, error.problem.detail, error.problem.status, error.headers)
    answer = RedirectResponse(_here(then), 303)
    secure = request.url.scheme == "https"
    answer.set_cookie(COOKIE, text, _WEEK, path="/", secure=secure, httponly=True, samesite="strict")
    return answer


@router.post("/logout")
async def log_out(request: Request) -> Response:
    """Forget the key."""
    answer = RedirectResponse(request.url_for("login_page").path, 303)
    answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="strict")
    return answer


def _page(
    request: Request, then: str, said: str = "", status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    action = f"{request.url_for('log_in').path}?then={quote(_here(then))}"
    answer = page(request, "login.html", status, action=action, said=said)
    answer.headers.update(headers or {})
    return answer


def _here(then: str) -> str:
    """The address if it is one of this service; browsers take `//host` and `/\\host` for another one."""
    parts = urlsplit(then)
    inside = then.startswith("/") and not then.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return then if inside and then.isprintable() else "/"
