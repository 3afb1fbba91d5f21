"""Headers that every answer carries, and what pages may load: one place, so that all pages agree."""

import base64
import hashlib
import re

from starlette.types import ASGIApp, Message, Receive, Scope, Send

ALWAYS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    # Not no-referrer: forms would then say that they come from nowhere, and the gate would refuse them.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

# A page loads what this service serves and runs no script that stands in it.
PAGE = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; frame-ancestors 'self'; base-uri 'none'"
)
# An answer that is no page runs nothing and loads nothing, whatever a browser takes it for.
OTHER = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"


def _raw(policy: str) -> list[tuple[bytes, bytes]]:
    """As they are sent: every answer has them, so they are not made anew each time."""
    headers = {**ALWAYS, "Content-Security-Policy": policy}
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]


_WITH_PAGE, _OTHERWISE = _raw(PAGE), _raw(OTHER)
_SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)


class Headers:
    """ASGI middleware that adds them; a Content-Security-Policy of the endpoint's own stays."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; add to the answer's head."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                there: dict[bytes, bytes] = dict(message["headers"])
                is_page = there.get(b"content-type", b"").startswith(b"text/html")
                message["headers"].extend(
                    pair for pair in (_WITH_PAGE if is_page else _OTHERWISE) if pair[0] not in there
                )
            await send(message)

        await self.app(scope, receive, with_headers)


def policy_of(page: bytes) -> str:
    """The policy of a page that we made with scripts in it: these and no others, by their hashes.

    Libraries that draw need styles in elements, and pictures they make themselves.
    """
    scripts = " ".join(["'self'", *(f"'sha256-{_hash(script)}'" for script in _SCRIPT.findall(page))])
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "connect-src 'self'; worker-src blob:; frame-ancestors 'self'; base-uri 'none'"
    )


def _hash(script: bytes) -> str:
    return base64.b64encode(hashlib.sha256(script).digest()).decode()
