"""What the page draws by itself: a plot as a Plotly figure, arranged for the width there is."""

import json
from typing import Annotated

import pydantic_core
from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api.context import Context, Service
from api.downloads import matches
from api.plot_parameters import CompareOptions
from api.routes.plots import MOST_POINTS, Chosen, compared, described, require
from ncmix.plots import PlotError, PlotOptionError, figure
from ncmix.plots.arranging import arranged
from ncmix.plots.thinning import thinned

router = APIRouter(include_in_schema=False)

# Without WebGL, which would need code made from strings, a browser draws each mixture as a shape.
MOST_MIXTURES = 20_000


class FigureOptions(CompareOptions):
    """How experiments are drawn on the page, and which."""

    window: int = Field(1000, ge=100, le=10_000, description="Pixels across what it is drawn in.")


@router.get("/figures/{name}")
def get_figure(name: str, options: Annotated[FigureOptions, Query()], service: Service, request: Request) -> Response:
    """`data` and `layout` for Plotly; where there is nothing to draw yet, `empty`, the sentence that says why."""
    require(name)
    try:
        return _answer(request, service, name, compared(service, options))
    except PlotOptionError:
        raise
    except PlotError as error:
        # Not an error of the page: an experiment that has just begun has nothing to show.
        return Response(json.dumps({"empty": str(error)}), media_type="application/json")


def _answer(request: Request, service: Context, name: str, what: Chosen[FigureOptions]) -> Response:
    tag = what.tag("figure", name)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    file = service.pictures.get(tag, lambda: _figure(service, name, what))
    return Response(file, media_type="application/json", headers=headers)


def _figure(service: Context, name: str, what: Chosen[FigureOptions]) -> bytes:
    options = what.options
    picture = thinned(described(service, name, what, MOST_POINTS), MOST_MIXTURES)
    made = figure(arranged(picture, options.window), options.theme, options.size)
    # The page has the title above the figure already.
    layout = {name: value for name, value in made["layout"].items() if name != "title"}
    shown = {"data": made["data"], "layout": layout, "note": picture.note}
    return pydantic_core.to_json(shown, inf_nan_mode="null")
