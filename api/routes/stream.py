"""An experiment as it happens, as server-sent events that can be resumed from any of their ids."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from api import models, problems
from api.context import Context, Service
from api.parameters import ExperimentId, PlaceOrNone, StreamStart
from api.watching import Feed, Part
from ncmix.jobs import following, queries
from ncmix.jobs.following import Cursor, News
from ncmix.jobs.states import UnknownExperimentError

router = APIRouter(prefix=f"{models.ROOT}/experiments/{{id}}", tags=["results"])

# How long a browser waits before it comes again when the connection was lost.
_RETRY_MILLISECONDS = 1000

_KINDS: dict[str, type[BaseModel]] = {
    "experiment": models.Experiment,
    "metrics": models.NewMetrics,
    "log": models.NewOutput,
    "end": models.End,
}


def _described(name: str, model: type[BaseModel]) -> dict[str, Any]:
    """What OpenAPI says of an event."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": schema}
    fields = {"event": {"const": name}, "id": {"type": "string", "pattern": following.PATTERN}, "data": data}
    return {"type": "object", "required": list(fields), "properties": fields}


_EVENTS: dict[str, Any] = {
    "description": "Server-sent events. `experiment`: the body of GET /experiments/{id}, whenever it has changed; "
    "`metrics`: a NewMetrics, of epochs that are new; `log`: a NewOutput; at last `end`: an End, and the connection is "
    "closed. A comment every 15 seconds shows that the connection lives. Without `end` the connection was lost, or the "
    "server stops: ask again with the last id, and nothing is missed or comes twice.",
    "content": {
        "text/event-stream": {
            # Of one event; a stream is many of them.
            "schema": {"oneOf": [_described(name, model) for name, model in _KINDS.items()]},
            "example": 'event: metrics\ndata: {"epoch":3,"items":[]}\nid: 812.37.10240\n\n',
        }
    },
}
LastEventId = Annotated[
    PlaceOrNone | None,
    Header(
        alias="Last-Event-ID",
        description="What browsers send when they come again: the id of the last event they saw.",
    ),
]


async def _feed(experiment_id: ExperimentId, service: Service) -> AsyncIterator[Feed]:
    """The feed that this request views; refused with 404 before anything is sent."""
    await run_in_threadpool(_must_exist, service, experiment_id)
    async with service.watch.viewing(experiment_id, lambda i, cursor: _read(service, i, cursor)) as feed:
        with service.meters.viewers.track_inprogress():
            yield feed


async def _start(which: Annotated[StreamStart, Query()], last_event_id: LastEventId = None) -> Cursor:
    return Cursor.parse(last_event_id or which.after)


@router.get(
    "/stream",
    summary="Stream an experiment as it happens",
    response_class=EventSourceResponse,
    responses={200: _EVENTS, **problems.responses(404, 422, 503)},
)
async def stream_experiment(
    feed: Annotated[Feed, Depends(_feed)], cursor: Annotated[Cursor, Depends(_start)]
) -> AsyncIterator[ServerSentEvent]:
    """All there is of an experiment, and then what comes, until it has ended."""
    yield ServerSentEvent(retry=_RETRY_MILLISECONDS, comment=feed.id)
    async for part in feed.parts(cursor):
        for message in part.messages:
            yield message


def _must_exist(service: Context, experiment_id: str) -> None:
    with service.database.reading() as session:
        queries.require(session, experiment_id)


def _read(service: Context, experiment_id: str, cursor: Cursor) -> Part:
    try:
        with service.database.reading() as session:
            news = following.news(session, experiment_id, cursor)
    except UnknownExperimentError:
        return Part([_message("end", models.End(state="deleted", reason=None), cursor)], cursor, ended=True)
    return Part(list(_messages(news)), news.after, news.more, news.ended)


def _messages(news: News) -> Iterator[ServerSentEvent]:
    """Each id says what a reader has seen that stops behind it."""
    before_log = replace(news.after, log=news.before.log)
    shown = models.Experiment.of(news.experiment)
    if news.changed:
        yield _message("experiment", shown, replace(before_log, event=news.before.event) if news.epochs else before_log)
    if news.epochs:
        items = [models.MetricValue(**asdict(row)) for row in news.epochs.rows]
        yield _message("metrics", models.NewMetrics(epoch=news.epochs.last, items=items), before_log)
    if news.output:
        yield _message("log", models.NewOutput(offset=news.output.offset, text=news.output.text), news.after)
    if news.ended:
        yield _message("end", models.End(state=shown.state, reason=shown.reason), news.after)


def _message(event: str, data: BaseModel, at: Cursor) -> ServerSentEvent:
    return ServerSentEvent(raw_data=data.model_dump_json(), event=event, id=str(at))
