"""Array sets of an experiment: which there are, and their arrays as files."""

from typing import Annotated, Any

import pyarrow as pa
from fastapi import APIRouter, Query, Request, Response
from fastapi import Path as PathParameter

from api import models, problems, sets
from api.context import Context, Service
from api.downloads import Download, answer, described
from api.parameters import ExperimentId, FeatureChoice
from api.pictures import entity_tag
from ncmix.jobs import queries
from ncmix.jobs.chunks import Source
from ncmix.jobs.files import File, Npy, Npz, Parquet
from ncmix.jobs.selecting import only, select

router = APIRouter(prefix=f"{models.ROOT}/experiments/{{id}}/features", tags=["features"])

_BINARY = {"type": "string", "format": "binary"}
MEDIA_TYPES = {
    "npy": "application/octet-stream",
    "npz": "application/zip",
    "parquet": "application/vnd.apache.parquet",
}
_FILE: dict[str, Any] = {
    "response_class": Response,
    "responses": {
        **described(
            dict.fromkeys(MEDIA_TYPES.values(), _BINARY),
            "The arrays: one as npy, as npz or Parquet all of the set, or the one that is named.",
        ),
        **problems.responses(404, 416, 422, 503),
    },
}
SetName = Annotated[str, PathParameter(description="As GET …/features lists it.", examples=["train"])]
Format = Annotated[
    str,
    PathParameter(
        description="One array as npy; npz and Parquet hold several.", json_schema_extra={"enum": list(MEDIA_TYPES)}
    ),
]


@router.get("", summary="List array sets", responses=problems.responses(404, 503))
def list_features(experiment_id: ExperimentId, service: Service) -> sets.FeatureSets:
    """The array sets of an experiment by epoch and name, with the digest and the addresses of each."""
    with service.database.reading() as session:
        queries.get(session, experiment_id)
        return sets.FeatureSets.of(experiment_id, queries.feature_sets(session, experiment_id))


@router.head("/{name}.{format}", include_in_schema=False)
@router.get("/{name}.{format}", summary="Get the arrays of a set", **_FILE)
def get_features(
    experiment_id: ExperimentId,
    name: SetName,
    format: Format,  # noqa: A002 - the word of the address
    which: Annotated[FeatureChoice, Query()],
    service: Service,
    request: Request,
) -> Response:
    """The arrays of a set, or some rows of them, read and sent piece by piece."""
    if format not in MEDIA_TYPES:
        detail = f"There is no format {format!r} of features; there are {', '.join(MEDIA_TYPES)}."
        raise problems.ProblemError(problems.problem(404, "not-found", detail))
    source = _source(service, experiment_id, name, which.epoch)
    names, file = _file(source, format, which)
    stem = "-".join((experiment_id, str(source.kept.epoch), name, *names[: len(names) == 1]))
    told = [(n, source.columns[n]) for n in names]
    tag = entity_tag(format, pa.__version__ if format == "parquet" else "", told, which.class_, which.rows)
    return answer(request, Download(file, f"{stem}.{format}", MEDIA_TYPES[format], tag))


def _source(service: Context, experiment_id: str, name: str, epoch: int | None) -> Source:
    with service.database.reading() as session:
        queries.get(session, experiment_id)
        return Source.of(session, service.database, queries.feature_set(session, experiment_id, name, epoch))


def _file(source: Source, kind: str, which: FeatureChoice) -> tuple[list[str], File]:
    """The names of the arrays that are given, and the file they are given in."""
    rows = select(source, which.class_, which.rows)
    names = [only(source, which.array)] if which.array or kind == "npy" else list(source.columns)
    columns = [source.columns[name] for name in names]
    match kind:
        case "npy":
            return names, Npy(source, columns[0], rows)
        case "npz":
            return names, Npz([Npy(source, column, rows) for column in columns])
        case _:
            return names, Parquet(source, columns, rows)
