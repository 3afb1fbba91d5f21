"""Sweeps: many experiments by one request, as one table, cancelled and filled up together."""

import csv
from io import StringIO
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from sqlalchemy.orm import Session

from api import models, problems
from api.bodies import SWEEP_IN_OPENAPI, Expanded, PostedSweep
from api.context import Context, Service
from api.once import Once, OnlyOnce, Reply
from api.pages import next_page
from api.routes.experiments import refuse_unknown_folder
from api.sweep_models import (
    SweepEstimate,
    SweepGroup,
    SweepMatrix,
    SweepPlan,
    SweepRecord,
    SweepRecords,
    SweepSubmitted,
    SweepTable,
    left_out,
)
from api.sweep_parameters import DeleteSweep, SubmitSweep, SweepId, SweepListing, SweepTableOptions
from ncmix.jobs import checkpoints, estimates, lifecycle, progress, room, sweep_tables, sweeps, tables
from ncmix.jobs.sweep_tables import Statistic, Table
from ncmix.jobs.sweeps import Filled
from ncmix.spec import axes, written

router = APIRouter(prefix=f"{models.ROOT}/sweeps", tags=["sweeps"])

_LOCATION = {"Location": {"description": "Where the sweep is; a plan has none", "schema": {"type": "string"}}}
_LINK = {"Link": {"description": 'The address of the next page, rel="next"', "schema": {"type": "string"}}}
_CSV = {
    "description": "A row a group: its fields, cells, succeeded, and n, mean and std of each split and metric. What is "
    "undefined is empty.",
    "content": {
        "text/csv": {
            "schema": {"type": "string"},
            "example": "loss.kind,cells,succeeded,train_nc1_n,train_nc1_mean,train_nc1_std\nmse,3,3,3,0.021,0.004\n",
        }
    },
}


@router.post(
    "",
    summary="Submit a sweep",
    status_code=201,
    response_model=SweepSubmitted,
    responses={
        201: {"description": "It is on record and its cells are queued.", "headers": _LOCATION},
        200: {
            "description": "It was on record: what was missing, failed or cancelled is queued. Of a dry run, the plan.",
            "model": SweepSubmitted | SweepPlan,
            "headers": _LOCATION,
        },
        **problems.responses(400, 409, 413, 415, 422, 503, 507),
    },
    openapi_extra=SWEEP_IN_OPENAPI,
)
def submit_sweep(
    posted: PostedSweep, how: Annotated[SubmitSweep, Query()], service: Service, once: OnlyOnce, tasks: BackgroundTasks
) -> Response:
    """Queue every cell of a sweep, all or none; cells whose spec is on record are shared and do not run twice.

    The same sweep again queues only what is missing, failed or cancelled.
    """
    for cell in posted.expansion.cells:
        refuse_unknown_folder(cell.spec, service)
    if how.dry_run:
        return Response(plan(service, posted).model_dump_json(), 200, media_type="application/json")
    return _fill(
        service,
        once,
        tasks,
        lambda session: sweeps.submit(session, posted.definition, posted.expansion, service.settings),
    )


@router.get("", summary="List sweeps", responses={200: {"headers": _LINK}, **problems.responses(422, 503)})
def list_sweeps(
    which: Annotated[SweepListing, Query()], service: Service, request: Request, response: Response
) -> SweepRecords:
    """Sweeps, newest first, page by page."""
    with service.database.reading() as session:
        page = sweeps.listing(session, which.limit, which.cursor)
        far = progress.of(session, [sweep.id for sweep in page.items])
    next_page(request, response, page.next_cursor)
    items = [SweepRecord.of(sweep, far[sweep.id]) for sweep in page.items]
    return SweepRecords(items=items, next_cursor=page.next_cursor)


@router.get("/{id}", summary="Get a sweep", responses=problems.responses(404, 503))
def get_sweep(sweep_id: SweepId, service: Service) -> SweepRecord:
    """One sweep as it is now."""
    with service.database.reading() as session:
        return _shown(session, sweeps.get(session, sweep_id))


@router.get("/{id}/table", summary="Get a sweep's table", responses=problems.responses(404, 422, 503))
def get_sweep_table(sweep_id: SweepId, how: Annotated[SweepTableOptions, Query()], service: Service) -> SweepTable:
    """Mean and standard deviation of metrics over the seeds of each spec, or over all cells by two fields."""
    table = _table(sweep_id, how, service)
    matrix = SweepMatrix.of(table, how.names[0], how.splits[0]) if how.by and table.groups else None
    return SweepTable(fields=table.fields, items=[SweepGroup.of(group) for group in table.groups], matrix=matrix)


@router.get(
    "/{id}/table.csv",
    summary="Get a sweep's table as CSV",
    response_class=Response,
    responses={200: _CSV, **problems.responses(404, 422, 503)},
)
def get_sweep_table_csv(sweep_id: SweepId, how: Annotated[SweepTableOptions, Query()], service: Service) -> Response:
    """The same table, a row a group."""
    table = _table(sweep_id, how, service)
    columns = [(split, name) for split in how.splits for name in how.names]
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    numbers = [f"{split}_{name}_{what}" for split, name in columns for what in ("n", "mean", "std")]
    writer.writerow([*table.fields, "cells", "succeeded", *numbers])
    for group in table.groups:
        values = [cell for split, name in columns for cell in _cells(group.metrics[split][name])]
        fields = [_field(value) for value in group.fields.values()]
        writer.writerow([*fields, group.cells, group.succeeded, *values])
    name = f'attachment; filename="sweep-{sweep_id}.csv"'
    return Response(text.getvalue(), media_type="text/csv", headers={"Content-Disposition": name})


@router.post(
    "/{id}/cancel",
    summary="Cancel a sweep",
    status_code=202,
    response_model=SweepRecord,
    responses=problems.responses(404, 409, 422, 503),
)
def cancel_sweep(sweep_id: SweepId, service: Service, once: OnlyOnce) -> Response:
    """Ask every experiment to end that was made for a sweep and is in no other that goes on. Twice is harmless."""

    def work(session: Session) -> Reply:
        sweeps.cancel(session, sweep_id)
        return Reply(202, _shown(session, sweeps.get(session, sweep_id)))

    return once.answer(service.database, work)


@router.post(
    "/{id}/retry-failed",
    summary="Run what a sweep lacks",
    status_code=201,
    response_model=SweepSubmitted,
    responses={
        201: {"description": "What was missing, failed or cancelled is queued.", "headers": _LOCATION},
        200: {"description": "Nothing was.", "model": SweepSubmitted, "headers": _LOCATION},
        **problems.responses(404, 409, 422, 503, 507),
    },
)
def retry_sweep(sweep_id: SweepId, service: Service, once: OnlyOnce, tasks: BackgroundTasks) -> Response:
    """Queue what of a sweep is missing, failed or cancelled, as posting it again does."""
    return _fill(service, once, tasks, lambda session: sweeps.retry(session, sweep_id, service.settings))


@router.delete("/{id}", summary="Delete a sweep", status_code=204, responses=problems.responses(404, 409, 422, 503))
def delete_sweep(sweep_id: SweepId, what: Annotated[DeleteSweep, Query()], service: Service) -> None:
    """Remove a sweep; its experiments stay on record unless asked otherwise."""
    with service.database.transaction() as session:
        deleted = sweeps.delete(session, sweep_id, experiments=what.experiments)
    for experiment_id in deleted:
        checkpoints.forget(service.settings.checkpoint_dir, experiment_id)


def _fill(service: Context, once: Once, tasks: BackgroundTasks, work: Any) -> Response:
    """Do what may queue cells; once that is committed and the answer sent, wake the workers they wait for."""

    def reply(session: Session) -> Reply:
        filled: Filled = work(session)
        if filled.made:
            room.check(session, service.settings)
        tasks.add_task(service.hints.wake_all, [experiment.queue for experiment in filled.made])
        sweep, far = filled.sweep, progress.of(session, [filled.sweep.id])
        shown = SweepSubmitted.of(sweep, far[sweep.id], made=len(filled.made), shared=filled.shared)
        return Reply(201 if filled.created or filled.made else 200, shown, shown.links.self)

    return once.answer(service.database, reply)


def plan(service: Context, posted: Expanded) -> SweepPlan:
    """What submitting a sweep would do."""
    cells = posted.expansion.cells
    with service.database.reading() as session:
        there = lifecycle.standing(session, [cell.spec for cell in cells])
        new = [cell.spec for cell in cells if cell.key not in there]
        estimate = estimates.estimate(session, new)
    return SweepPlan(
        cells=len(cells),
        made=len(new),
        shared=len(cells) - len(new),
        excluded=posted.expansion.excluded,
        invalid=left_out(posted.expansion.invalid),
        fields=axes([cell.coordinates for cell in cells]),
        estimate=SweepEstimate.of(estimate),
    )


def _shown(session: Session, sweep: tables.Sweep) -> SweepRecord:
    return SweepRecord.of(sweep, progress.of(session, [sweep.id])[sweep.id])


def _table(sweep_id: str, how: SweepTableOptions, service: Context) -> Table:
    with service.database.reading() as session:
        return sweep_tables.table(session, sweep_id, how.names, how.splits, how.epoch, how.by)


def _cells(statistic: Statistic) -> list[str]:
    numbers = (statistic.mean, statistic.std)
    return [str(statistic.n), *("" if number is None else repr(number) for number in numbers)]


def _field(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else written(value)
