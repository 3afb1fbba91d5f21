"""Style sheets and scripts, from this service alone, under an address that changes when one of them does."""

import hashlib
from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Response

from api import problems

router = APIRouter(prefix="/assets/web", include_in_schema=False)

_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


def address(name: str) -> str:
    """Where a file is to be had. The version is a folder, so that scripts find each other in the same one."""
    return f"{router.prefix}/{_version()}/{name}"


@router.get("/{version}/{name}")
def get_file(version: str, name: str) -> Response:
    """A style sheet, script or picture of the page."""
    if version != _version() or name not in _read():
        detail = f"There is no file {name!r} of version {version!r} here; reload the page that names it."
        raise problems.ProblemError(problems.problem(404, "not-found", detail))
    kind = _TYPES[name[name.rindex(".") :]]
    return Response(_read()[name], media_type=kind, headers=_HEADERS)


@cache
def _read() -> dict[str, bytes]:
    found = (files("api.web") / "static").iterdir()
    return {entry.name: entry.read_bytes() for entry in sorted(found, key=lambda entry: entry.name)}


@cache
def _version() -> str:
    return hashlib.sha256(repr(sorted(_read().items())).encode()).hexdigest()[:12]
