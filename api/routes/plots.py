"""Pictures of one experiment or of several, by addresses that stay: drawn when asked for, and again when data came."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter
from sqlalchemy.orm import Session

from api import models, problems
from api.context import Context, Service
from api.parameters import CompareOptions, ExperimentId, PlotOptions
from api.pictures import entity_tag
from ncmix import __version__
from ncmix.jobs import queries, tables
from ncmix.plots import FORMATS, PLOTS, Format, render
from ncmix.results import Probe, Run

router = APIRouter(prefix=models.ROOT, tags=["plots"])

MEDIA_TYPES: dict[str, str] = {"png": "image/png", "svg": "image/svg+xml", "pdf": "application/pdf"}

PlotName = Annotated[str, PathParameter(json_schema_extra={"enum": list(PLOTS)})]
PlotFormat = Annotated[str, PathParameter(json_schema_extra={"enum": list(FORMATS)})]

_PICTURE = {
    200: {
        "description": "The picture.",
        "content": {kind: {"schema": {"type": "string", "format": "binary"}} for kind in MEDIA_TYPES.values()},
        "headers": {"ETag": {"description": "Changes when the picture would", "schema": {"type": "string"}}},
    },
    304: {"description": "It is the one named in If-None-Match."},
    **problems.responses(404, 422, 503),
}


@router.get("/experiments/{id}/plots", responses=problems.responses(404, 503))
def list_plots(experiment_id: ExperimentId, service: Service) -> models.Plots:
    """The plots of an experiment: their addresses, and the epochs at which its geometry was probed."""
    with service.database.reading() as session:
        queries.get(session, experiment_id)
        probed = list(Probes(session, experiment_id))
    here = f"{models.links(experiment_id).self}/plots"
    return models.Plots(
        items=[
            models.PlotLinks(
                name=name,
                title=models.first_sentence(plot.__doc__),
                files={kind: f"{here}/{name}.{kind}" for kind in FORMATS},
                epochs=probed if name == "last-layer" else None,
            )
            for name, plot in PLOTS.items()
        ]
    )


@router.get("/experiments/{id}/plots/{name}.{format}", response_class=Response, responses=_PICTURE)
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


@router.get("/compare/plots/{name}.{format}", response_class=Response, responses=_PICTURE)
def compare_plots(
    name: PlotName,
    format: PlotFormat,  # noqa: A002
    options: Annotated[CompareOptions, Query()],
    service: Service,
    request: Request,
) -> Response:
    """Several experiments drawn together, in the order of `ids`."""
    return _answer(request, service, name, format, options.experiments, options)


def _answer(
    request: Request, service: Context, name: str, kind: str, ids: Sequence[str], options: PlotOptions
) -> Response:
    """The picture, unless the client has it already."""
    image_format = _known(name, kind)
    with service.database.reading() as session:
        versions = [(e.id, e.revision) for e in queries.several(session, ids)]
    tag = entity_tag(__version__, name, kind, options.epoch, options.theme, versions)
    # Revalidated each time: the address stays while the experiment goes on.
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if _matches(request.headers.get("if-none-match", ""), tag):
        return Response(status_code=304, headers=headers)
    file = service.pictures.get(tag, lambda: _draw(service, name, image_format, ids, options))
    return Response(file, media_type=MEDIA_TYPES[kind], headers=headers)


def _known(name: str, kind: str) -> Format:
    if name not in PLOTS:
        detail = f"There is no plot {name!r}; there are {', '.join(PLOTS)}."
        raise problems.ProblemError(problems.problem(404, "not-found", detail))
    for image_format in FORMATS:
        if image_format == kind:
            return image_format
    detail = f"There is no format {kind!r} of a plot; there are {', '.join(FORMATS)}."
    raise problems.ProblemError(problems.problem(404, "not-found", detail))


def _matches(if_none_match: str, tag: str) -> bool:
    tags = {word.strip().removeprefix("W/") for word in if_none_match.split(",")}
    return bool(tags & {tag, "*"})


def _draw(service: Context, name: str, image_format: Format, ids: Sequence[str], options: PlotOptions) -> bytes:
    with service.database.reading() as session:
        runs = [_run(session, experiment) for experiment in queries.several(session, ids)]
        figure = PLOTS[name](runs, epoch=options.epoch, theme=options.theme)
    return render(figure, image_format)


def _run(session: Session, experiment: tables.Experiment) -> Run:
    rows = tuple(queries.metrics(session, experiment.id))
    return Run(experiment.title, experiment.spec, rows, Probes(session, experiment.id))


class Probes(Mapping[int, Probe]):
    """The probes of an experiment by epoch, each read when it is asked for: a picture needs one of many."""

    def __init__(self, session: Session, experiment_id: str) -> None:
        self._session, self._id = session, experiment_id

    def __iter__(self) -> Iterator[int]:
        """The epochs, increasing."""
        return (s.epoch for s in queries.feature_sets(self._session, self._id) if s.name == "geometry")

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for _ in self)

    def __getitem__(self, epoch: int) -> Probe:
        """The probe of that epoch, from the record."""
        kept = queries.array_set(self._session, self._id, epoch, "geometry")
        if kept is None:
            raise KeyError(epoch)
        return Probe.from_set(kept.arrays, kept.facts)
