"""What an experiment has given so far: its metrics, its log, its events."""

import csv
from io import StringIO
from typing import Annotated, get_args

from fastapi import APIRouter, Query, Response

from api import models, problems, written
from api.context import Service
from api.parameters import EventRange, ExperimentId, LogRange, MetricFilter
from ncmix.jobs import queries
from ncmix.jobs.states import State
from ncmix.results import MetricRow

router = APIRouter(prefix=f"{models.ROOT}/experiments/{{id}}", tags=["results"])

COLUMNS = ("epoch", "split", "name", "value")

_CSV = {
    "description": "Columns epoch, split, name, value; an undefined value is empty.",
    "content": {"text/csv": {"schema": {"type": "string"}, "example": "epoch,split,name,value\n1,train,nc1,2.31\n"}},
}
_STATE = {"enum": list(get_args(State))}
_LOG = {
    "description": "Some bytes of the log, from `offset` on.",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": "epoch 12/200  loss 0.71\n"}},
    "headers": {
        "Next-Offset": {"description": "Where the next bytes will be", "required": True, "schema": {"type": "integer"}},
        "Log-Ended": {"description": "true: nothing will follow", "required": True, "schema": {"type": "boolean"}},
        "Experiment-State": {"description": "How it went, once the log has ended", "required": True, "schema": _STATE},
    },
}


@router.get(
    "/metrics", summary="Get metrics", response_model=models.Metrics, responses=problems.responses(404, 422, 503)
)
def get_metrics(experiment_id: ExperimentId, which: Annotated[MetricFilter, Query()], service: Service) -> Response:
    """The metrics of every epoch so far."""
    return written.answer(written.metrics(_metrics(experiment_id, which, service)))


@router.get(
    "/metrics.csv",
    summary="Get metrics as CSV",
    response_class=Response,
    responses={200: _CSV, **problems.responses(404, 422, 503)},
)
def get_metrics_csv(experiment_id: ExperimentId, which: Annotated[MetricFilter, Query()], service: Service) -> Response:
    """The metrics of every epoch so far, as a table."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(
        (r.epoch, r.split, r.name, "" if r.value is None else repr(r.value))
        for r in _metrics(experiment_id, which, service)
    )
    name = f'attachment; filename="metrics-{experiment_id}.csv"'
    return Response(text.getvalue(), media_type="text/csv", headers={"Content-Disposition": name})


def _metrics(experiment_id: str, which: MetricFilter, service: Service) -> list[MetricRow]:
    with service.database.reading() as session:
        queries.require(session, experiment_id)
        return queries.metrics(session, experiment_id, which.name, which.split)


@router.get(
    "/log", summary="Get the log", response_class=Response, responses={200: _LOG, **problems.responses(404, 422, 503)}
)
def get_log(experiment_id: ExperimentId, which: Annotated[LogRange, Query()], service: Service) -> Response:
    """What the experiment's process has printed. That it has ended is no success: Experiment-State says how it went."""
    with service.database.reading() as session:
        part = queries.log(session, experiment_id, which.offset, which.limit)
    ended = "true" if part.ended else "false"
    headers = {"Next-Offset": str(part.next_offset), "Log-Ended": ended, "Experiment-State": part.state}
    return Response(part.data, media_type="text/plain; charset=utf-8", headers=headers)


@router.get("/events", summary="Get events", responses=problems.responses(404, 422, 503))
def get_events(experiment_id: ExperimentId, which: Annotated[EventRange, Query()], service: Service) -> models.Events:
    """What has happened to the experiment, in order."""
    with service.database.reading() as session:
        queries.require(session, experiment_id)
        found = queries.events(session, experiment_id, which.after, which.limit)
    items = [models.Event(id=e.id, at=models.instant(e.at), kind=e.kind, state=e.state, data=e.data) for e in found]
    return models.Events(items=items, last_id=items[-1].id if items else which.after)
