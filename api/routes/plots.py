"""Pictures of one experiment or of several, by addresses that stay: drawn when asked for, and again when data came."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Generic, TypeVar

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from sqlalchemy.orm import Session

from api import models, problems
from api.context import Context, Service
from api.downloads import matches
from api.headers import policy_of
from api.parameters import ExperimentId
from api.pictures import entity_tag
from api.plot_parameters import MOST_LINES, CompareOptions, PlotOptions
from api.routes.assets import plotly_address
from ncmix import __version__
from ncmix.garbage import uncollected
from ncmix.jobs import queries, runs, sweep_tables, sweeps
from ncmix.jobs.tables import Experiment
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

Asked = TypeVar("Asked", bound=PlotOptions)
Compared = TypeVar("Compared", bound=CompareOptions)

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
    return _answer(request, service, name, format, chosen(service, [experiment_id], options))


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
    return _answer(request, service, name, format, compared(service, options))


@dataclass(frozen=True)
class Chosen(Generic[Asked]):
    """What a picture is asked to show: ids and revisions of its experiments, and how; in groups if they are a sweep's.

    That is all that its ETag needs: of a thousand experiments of which a picture is kept no spec is read.
    """

    versions: list[tuple[str, int]]
    options: Asked
    sweep: str | None = None

    def tag(self, *which: str) -> str:
        """The ETag of a picture of them."""
        return entity_tag(__version__, *which, self.options.model_dump(exclude={"ids"}), self.versions)


def chosen(service: Context, ids: Sequence[str], options: Asked) -> Chosen[Asked]:
    """These experiments.

    Raises:
        UnknownExperimentError: there is none of one of the ids.
    """
    with service.database.reading() as session:
        return Chosen(queries.versions(session, ids), options)


def compared(service: Context, options: Compared) -> Chosen[Compared]:
    """The experiments that are named, or those of a sweep that can be drawn.

    Raises:
        UnknownExperimentError, UnknownSweepError: they, or it, are not there.
    """
    if options.sweep is None:
        return chosen(service, options.experiments, options)
    with service.database.reading() as session:
        return Chosen(sweeps.versions(session, options.sweep), options, options.sweep)


def _answer(request: Request, service: Context, name: str, kind: str, what: Chosen[Any]) -> Response:
    """The picture, unless the client has it already."""
    asked, tag = _known(name, kind), what.tag(name, kind)
    # Revalidated each time: the address stays while the experiment goes on.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    root = request.scope.get("root_path", "")
    file = service.pictures.get(tag, lambda: _draw(service, name, asked, what, root))
    if kind == "html":
        headers["Content-Security-Policy"] = policy_of(file)
    return Response(file, media_type=MEDIA_TYPES[kind], headers=headers)


def require(name: str) -> None:
    """Make sure that there is a plot of this name.

    Raises:
        ProblemError: 404, there is none.
    """
    if name not in PLOTS:
        detail = f"There is no plot {name!r}; there are {', '.join(PLOTS)}."
        raise problems.ProblemError(problems.problem(404, "not-found", detail))


def _known(name: str, kind: str) -> Format:
    require(name)
    for known in FORMATS:
        if known == kind:
            return known
    detail = f"There is no format {kind!r} of a plot; there are {', '.join(FORMATS)}."
    raise problems.ProblemError(problems.problem(404, "not-found", detail))


def _draw(service: Context, name: str, kind: Format, what: Chosen[Any], root: str) -> bytes:
    library = f"{root}{plotly_address()}" if kind == "html" else None
    with uncollected():
        picture = described(service, name, what, None if kind in ("json", "csv") else MOST_POINTS)
        return render(picture, kind, theme=what.options.theme, size=what.options.size, library=library)


def described(service: Context, name: str, what: Chosen[Any], most: int | None) -> Picture:
    """What the plot of this name shows of these experiments; of curves at most about so many points.

    Raises:
        UnknownExperimentError: one of them is not there any more.
        PlotError: there is nothing to draw, or too many lines.
    """
    plot, options = PLOTS[name], what.options.options
    with service.database.reading() as session:
        if what.sweep is not None:
            options = replace(options, group_by=_fields(session, what.sweep, options.group_by))
        found = queries.several(session, [experiment_id for experiment_id, _ in what.versions])
        if what.sweep is not None:
            _check(what.sweep, found, options.group_by)
        return plot.describe(runs.recorded(session, found, plot.metrics, most), options)


def _fields(session: Session, sweep_id: str, group_by: tuple[str, ...]) -> tuple[str, ...]:
    """What makes a few lines of a sweep; where nothing varies but the seed, whatever all agree in makes one."""
    return group_by or tuple(sweep_tables.varied(session, sweep_id)) or ("dataset",)


def _check(sweep_id: str, found: Sequence[Experiment], group_by: Sequence[str]) -> None:
    if not found:
        raise PlotError(f"Nothing of sweep {sweep_id} can be drawn yet: none of its experiments has succeeded.")
    if (count := len(grouped([Run(e.title, e.spec, ()) for e in found], group_by))) > MOST_LINES:
        raise PlotOptionError(f"group_by makes {count} groups of {', '.join(group_by)}; allowed are {MOST_LINES}.")
