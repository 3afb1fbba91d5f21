"""How a browser gets in: a form takes a key and leaves it in a cookie that no script can read."""

import html
from typing import Annotated
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from api.context import Service
from api.gate import COOKIE, identify
from api.problems import ProblemError

router = APIRouter(include_in_schema=False)

_WEEK = 7 * 24 * 3600
_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>ncmix: log in</title></head>
<body>
<h1>ncmix</h1>
<form method="post" action="{action}">
<p role="alert">{said}</p>
<label>API key <input name="key" type="password" autocomplete="current-password" required autofocus></label>
<button>Log in</button>
</form>
</body>
</html>
"""


@router.get("/login")
async def login_page(request: Request, then: Annotated[str, Query()] = "/") -> HTMLResponse:
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
        return _page(request, then, error.problem.detail, error.problem.status, dict(error.headers or {}))
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
    request: Request, then: str, said: str = "", status: int = 200, headers: dict[str, str] | None = None
) -> HTMLResponse:
    action = f"{request.url_for('log_in').path}?then={quote(_here(then))}"
    return HTMLResponse(_PAGE.format(action=html.escape(action), said=html.escape(said)), status, headers)


def _here(then: str) -> str:
    """The address if it is one of this service; browsers take `//host` and `/\\host` for another one."""
    parts = urlsplit(then)
    inside = then.startswith("/") and not then.startswith(("//", "/\\")) and not (parts.scheme or parts.netloc)
    return then if inside and then.isprintable() else "/"
