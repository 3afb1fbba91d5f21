"""An experiment as one file, and such a file as an experiment."""

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.responses import StreamingResponse

from api import models, problems
from api.context import Service
from api.parameters import ExperimentId
from api.uploads import PostedFile
from ncmix.jobs import queries
from ncmix.jobs.exporting import Exported, as_parquet
from ncmix.jobs.importing import import_zip

router = APIRouter(prefix=models.ROOT, tags=["exports"])

_BINARY = {"type": "string", "format": "binary"}


def _described(media: str, description: str) -> dict[str, Any]:
    said = {200: {"description": description, "content": {media: {"schema": _BINARY}}}}
    return {"response_class": Response, "responses": {**said, **problems.responses(404, 503)}}


_UPLOAD = {"requestBody": {"required": True, "content": {"application/zip": {"schema": _BINARY}}}}
_THERE: dict[int | str, dict[str, Any]] = {200: {"description": "It is here already.", "model": models.Experiment}}


@router.get(
    "/experiments/{id}/export.zip",
    summary="Export an experiment as zip",
    **_described("application/zip", "A run directory as `ncmix train` writes it; POST /imports takes it."),
)
def export_zip(experiment_id: ExperimentId, service: Service) -> Response:
    """All that is on record of an experiment: spec, metrics, arrays, events, log, and a manifest with digests."""
    exported = Exported.of(service.database, experiment_id)
    return _sent(exported.zip(), "application/zip", f"{experiment_id}.zip")


@router.get(
    "/experiments/{id}/export.pkl",
    summary="Export an experiment as pickle",
    **_described("application/octet-stream", "A pickle of NumPy arrays and builtins, as `ncmix train` writes run.pkl."),
)
def export_pickle(experiment_id: ExperimentId, service: Service) -> Response:
    """The manifest, metrics and arrays of an experiment, for `ncmix plot` or any Python that has NumPy."""
    exported = Exported.of(service.database, experiment_id)
    return _sent(exported.pickle(), "application/octet-stream", f"{experiment_id}.pkl")


@router.get(
    "/experiments/{id}/metrics.parquet",
    summary="Get metrics as Parquet",
    **_described("application/vnd.apache.parquet", "Columns epoch, split, name, value and note."),
)
def get_metrics_parquet(experiment_id: ExperimentId, service: Service) -> Response:
    """The metrics of every epoch so far, as Parquet."""
    with service.database.reading() as session:
        queries.get(session, experiment_id)
        rows = queries.metrics(session, experiment_id)
    return _sent([as_parquet(rows)], "application/vnd.apache.parquet", f"metrics-{experiment_id}.parquet")


@router.post(
    "/imports",
    summary="Import an experiment",
    status_code=201,
    response_model=models.Experiment,
    responses={**_THERE, **problems.responses(400, 409, 413, 415, 422, 503, 507)},
    openapi_extra=_UPLOAD,
)
def import_experiment(file: PostedFile, service: Service, request: Request) -> Response:
    """Put an experiment on record as another service exported it, under its own id; once, however often it is sent."""
    imported = import_zip(service.database, service.settings, file)
    with service.database.reading() as session:
        shown = models.Experiment.of(queries.get(session, imported.experiment_id))
    headers = {"Location": shown.links.self}
    return Response(shown.model_dump_json(), 201 if imported.created else 200, headers, "application/json")


def _sent(content: Iterable[bytes | memoryview], media_type: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-cache"}
    return StreamingResponse(map(bytes, content), headers=headers, media_type=media_type)
