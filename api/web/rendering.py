"""Templates to pages, with the headers under which a browser runs nothing but our own files."""

from typing import Any

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

from api.gate import COOKIE
from api.problems import Problem
from api.routes.assets import plotly_address
from api.web import files, words
from ncmix import __version__
from ncmix.plots import bundle

# Scripts and style sheets come from files of this service, none is written into a page. The one exception: Plotly sets
# the attribute `style` of words in the figures that it draws, with setAttribute, which style-src counts as inline. It
# is granted for attributes alone (style-src-attr), which can neither run anything nor select other elements; the style
# sheet that Plotly would insert is one of our files (plot.css) instead.
_POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self'",
        "style-src-attr 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page(request: Request, template: str, status: int = 200, **shown: Any) -> Response:
    """A template filled in; everything that users wrote is escaped."""
    known = {"here": request.url.path, "logged_in": COOKIE in request.cookies}
    return HTMLResponse(_ENVIRONMENT.get_template(template).render(**known, **shown), status, _HEADERS)


def failure(request: Request, said: Problem) -> Response | None:
    """A problem as a page, if it is a browser's user who asks; None for everybody else."""
    if "text/html" not in request.headers.get("accept", "") or request.url.path.startswith("/assets/"):
        return None
    return page(request, "problem.html", said.status, problem=said)


def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("api.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        ago=words.ago,
        coded=words.coded,
        duration=words.duration,
        facts=words.facts,
        moment=words.moment,
        number=words.number,
        plain=words.plain,
        rough=words.rough,
        share=words.share,
        size=words.size,
    )
    made.globals.update(static=files.address, plotly=plotly_address, sheets=bundle.sheets, version=__version__)
    return made


_ENVIRONMENT = _environment()
