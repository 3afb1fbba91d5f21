"""What the page draws by itself: a plot as a Plotly figure, arranged for the width there is."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from api import problems
from api.context import Context, Service
from api.downloads import matches
from api.parameters import CompareOptions
from api.pictures import entity_tag
from api.routes.plots import MOST_POINTS, described, of_sweep
from ncmix import __version__
from ncmix.jobs import queries
from ncmix.plots import PLOTS, Picture, PlotError, PlotOptionError, figure

router = APIRouter(include_in_schema=False)


class FigureOptions(CompareOptions):
    """How experiments are drawn on the page, and which."""

    columns: int = Field(4, ge=1, le=8, description="Panels side by side, at most.")


@router.get("/figures/{name}")
def get_figure(name: str, options: Annotated[FigureOptions, Query()], service: Service, request: Request) -> Response:
    """`data` and `layout` for Plotly; where there is nothing to draw yet, `empty`, the sentence that says why."""
    if name not in PLOTS:
        detail = f"There is no plot {name!r}; there are {', '.join(PLOTS)}."
        raise problems.ProblemError(problems.problem(404, "not-found", detail))
    try:
        return _answer(request, service, name, *_chosen(service, options))
    except PlotOptionError:
        raise
    except PlotError as error:
        # Not an error of the page: an experiment that has just begun has nothing to show.
        return Response(json.dumps({"empty": str(error)}), media_type="application/json")


def _answer(request: Request, service: Context, name: str, ids: Sequence[str], options: FigureOptions) -> Response:
    with service.database.reading() as session:
        versions = [(e.id, e.revision) for e in queries.several(session, ids)]
    tag = entity_tag(__version__, "figure", name, options.model_dump(exclude={"ids"}), versions)
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    file = service.pictures.get(tag, lambda: _figure(service, name, ids, options))
    return Response(file, media_type="application/json", headers=headers)


def _chosen(service: Context, options: FigureOptions) -> tuple[list[str], FigureOptions]:
    """The experiments named, or those of a sweep in groups."""
    if options.sweep is None:
        return options.experiments, options
    ids, group_by = of_sweep(service, options.sweep, options.options.group_by)
    return ids, options.model_copy(update={"group_by": ",".join(group_by)})


def _figure(service: Context, name: str, ids: Sequence[str], options: FigureOptions) -> bytes:
    picture = described(service, name, ids, options, MOST_POINTS)
    made = figure(_arranged(picture, options.columns), options.theme, options.size)
    # The page has the title above the figure already.
    layout = {name: value for name, value in made["layout"].items() if name != "title"}
    shown = {"data": made["data"], "layout": layout, "note": picture.note}
    return json.dumps(shown, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _arranged(picture: Picture, columns: int) -> Picture:
    """With fewer panels side by side; a grid keeps its columns, which are epochs."""
    return picture if picture.layout == "grid" else replace(picture, columns=min(picture.columns, columns))
