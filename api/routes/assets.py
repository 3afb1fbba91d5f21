"""The script that interactive plots need, from this service alone: they work where there is no internet."""

import gzip
from functools import cache
from typing import Annotated

from fastapi import APIRouter, Header, Response

from api import problems
from ncmix.plots import bundle

router = APIRouter(prefix="/assets")

# The address holds the version: what it names never changes.
_HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}


def plotly_address() -> str:
    """Where the bundle of plotly.js is to be had."""
    return f"{router.prefix}/plotly-{bundle.version()}.min.js"


@router.get("/plotly-{version}.min.js", include_in_schema=False)
def get_plotly(version: str, accept_encoding: Annotated[str, Header()] = "") -> Response:
    """plotly.js, whole."""
    if version != bundle.version():
        detail = f"There is no plotly.js {version!r} here; there is {bundle.version()}."
        raise problems.ProblemError(problems.problem(404, "not-found", detail))
    if "gzip" in accept_encoding:
        return Response(_packed(), media_type="text/javascript", headers=_HEADERS | {"Content-Encoding": "gzip"})
    return Response(bundle.path().read_bytes(), media_type="text/javascript", headers=_HEADERS)


@cache
def _packed() -> bytes:
    return gzip.compress(bundle.path().read_bytes(), 6, mtime=0)
