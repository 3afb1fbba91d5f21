"""Pictures of one experiment or of several, by addresses that stay: drawn when asked for, and again when data came."""

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter

from api import models, problems
from api.context import Context, Service
from api.downloads import matches
from api.headers import policy_of
from api.parameters import MOST_LINES, CompareOptions, ExperimentId, PlotOptions
from api.pictures import entity_tag
from api.routes.assets import plotly_address
from ncmix import __version__
from ncmix.jobs import queries, runs, sweep_tables, sweeps
from ncmix.plots import FORMATS, PLOTS, Format, Picture, PlotError, PlotOptionError, render
from ncmix.plots.groups import grouped
from ncmix.results import Run

router = APIRouter(prefix=models.ROOT, tags=["plots"])

MEDIA_TYPES: dict[str, str] = {
    "png": "image/png",
    "svg": "image/svg+xml",
    "pdf": "application/pdf",
    "html": "text/html",
    "json": "application/json",
    "csv": "text/csv",
}

# A picture of more points than this shows no more than one of these, and takes seconds. Data are given whole.
MOST_POINTS = 60_000

PlotName = Annotated[
    str, PathParameter(description="GET …/plots says what each shows.", json_schema_extra={"enum": list(PLOTS)})
]
PlotFormat = Annotated[
    str,
    PathParameter(
        description="A picture; html, in which it can be explored; or what is drawn as json and csv.",
        json_schema_extra={"enum": list(FORMATS)},
    ),
]

_SCHEMAS: dict[str, dict[str, Any]] = {
    "html": {"type": "string"},
    "csv": {"type": "string"},
    "json": {"$ref": "#/components/schemas/PlotData"},
}
_EXAMPLES = {"csv": {"example": "panel,group,style,x,y,std,runs\nnc1,digits mlp,train,1,4.1,,1\n"}}
_BINARY = {"type": "string", "format": "binary"}

_PICTURE = {
    200: {
        "description": "The picture; as html a page in which it can be explored, as json and csv the numbers drawn.",
        "content": {
            media: {"schema": _SCHEMAS.get(kind, _BINARY), **_EXAMPLES.get(kind, {})}
            for kind, media in MEDIA_TYPES.items()
        },
        "headers": {
            "ETag": {"description": "Changes when the picture would", "required": True, "schema": {"type": "string"}}
        },
    },
    304: {"description": "It is the one named in If-None-Match."},
    **problems.responses(404, 422, 503),
}


@router.get("/experiments/{id}/plots", summary="List plots", responses=problems.responses(404, 503))
def list_plots(experiment_id: ExperimentId, service: Service) -> models.Plots:
    """The plots of an experiment: their addresses, and the epochs of which what they show is on record."""
    with service.database.reading() as session:
        queries.require(session, experiment_id)
        kept = runs.epochs(session, experiment_id)
    here = f"{models.links(experiment_id).self}/plots"
    return models.Plots(
        items=[
            models.PlotLinks(
                name=name,
                title=plot.description,
                files={kind: f"{here}/{name}.{kind}" for kind in FORMATS},
                epochs=kept.get(plot.set, []) if plot.set else None,
            )
            for name, plot in PLOTS.items()
        ]
    )


@router.get(
    "/experiments/{id}/plots/{name}.{format}", summary="Draw an experiment", response_class=Response, responses=_PICTURE
)
def get_plot(
    experiment_id: ExperimentId,
    name: PlotName,
    format: PlotFormat,  # noqa: A002 - the word of the address
    options: Annotated[PlotOptions, Query()],
    service: Service,
    request: Request,
) -> Response:
    """An experiment drawn."""
    return _answer(request, service, name, format, [experiment_id], options)


@router.get(
    "/compare/plots/{name}.{format}", summary="Draw several experiments", response_class=Response, responses=_PICTURE
)
def compare_plots(
    name: PlotName,
    format: PlotFormat,  # noqa: A002
    options: Annotated[CompareOptions, Query()],
    service: Service,
    request: Request,
) -> Response:
    """Several experiments drawn together, in the order of `ids`, or what has succeeded of a sweep in groups."""
    if options.sweep is None:
        return _answer(request, service, name, format, options.experiments, options)
    ids, group_by = of_sweep(service, options.sweep, options.options.group_by)
    return _answer(request, service, name, format, ids, options.model_copy(update={"group_by": ",".join(group_by)}))


def of_sweep(service: Context, sweep_id: str, group_by: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """The experiments of a sweep that can be drawn, and the fields that make a few lines of them.

    Raises:
        PlotError: there are none, or too many lines.
    """
    with service.database.reading() as session:
        done = sweeps.succeeded(session, sweep_id)
        # Where nothing varies but the seed, whatever all agree in makes one group.
        fields = group_by or sweep_tables.varied(session, sweep_id) or ["dataset"]
    if not done:
        raise PlotError(f"Nothing of sweep {sweep_id} can be drawn yet: none of its experiments has succeeded.")
    if (count := len(grouped([Run(e.title, e.spec, ()) for e in done], fields))) > MOST_LINES:
        raise PlotOptionError(f"group_by makes {count} groups of {', '.join(fields)}; allowed are {MOST_LINES}.")
    return [experiment.id for experiment in done], fields


def _answer(
    request: Request, service: Context, name: str, kind: str, ids: Sequence[str], options: PlotOptions
) -> Response:
    """The picture, unless the client has it already."""
    asked = _known(name, kind)
    with service.database.reading() as session:
        versions = [(e.id, e.revision) for e in queries.several(session, ids)]
    tag = entity_tag(__version__, name, kind, options.model_dump(exclude={"ids"}), versions)
    # Revalidated each time: the address stays while the experiment goes on.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    root = request.scope.get("root_path", "")
    file = service.pictures.get(tag, lambda: _draw(service, name, asked, ids, options, root))
    if kind == "html":
        headers["Content-Security-Policy"] = policy_of(file)
    return Response(file, media_type=MEDIA_TYPES[kind], headers=headers)


def _known(name: str, kind: str) -> Format:
    if name not in PLOTS:
        detail = f"There is no plot {name!r}; there are {', '.join(PLOTS)}."
        raise problems.ProblemError(problems.problem(404, "not-found", detail))
    for known in FORMATS:
        if known == kind:
            return known
    detail = f"There is no format {kind!r} of a plot; there are {', '.join(FORMATS)}."
    raise problems.ProblemError(problems.problem(404, "not-found", detail))


def _draw(service: Context, name: str, kind: Format, ids: Sequence[str], options: PlotOptions, root: str) -> bytes:
    picture = described(service, name, ids, options, None if kind in ("json", "csv") else MOST_POINTS)
    library = f"{root}{plotly_address()}" if kind == "html" else None
    return render(picture, kind, theme=options.theme, size=options.size, library=library)


def described(service: Context, name: str, ids: Sequence[str], options: PlotOptions, most: int | None) -> Picture:
    """What the plot of this name shows of these experiments; of curves at most about so many points.

    Raises:
        UnknownExperimentError: there is none of one of the ids.
        PlotError: there is nothing to draw.
    """
    plot = PLOTS[name]
    with service.database.reading() as session:
        read = runs.recorded(session, queries.several(session, ids), plot.metrics, most)
        return plot.describe(read, options.options)
