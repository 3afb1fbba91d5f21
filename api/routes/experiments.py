"""Experiments: submit, find, pause, cancel, repeat, prolong and delete them."""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response
from sqlalchemy.orm import Session

from api import models, problems, written
from api.bodies import EXTENSION_IN_OPENAPI, SPEC_IN_OPENAPI, PostedExtension, PostedSpec
from api.context import Context, Service
from api.once import Once, OnlyOnce, Reply
from api.pages import next_page
from api.parameters import ExperimentId, Listing, Submit
from ncmix.jobs import checkpoints, features, lifecycle, room, stored
from ncmix.jobs.lifecycle import Submitted
from ncmix.jobs.queue import queue_of
from ncmix.jobs.tables import Experiment
from ncmix.spec import ImageFolder, Problem, Spec

router = APIRouter(prefix=f"{models.ROOT}/experiments", tags=["experiments"])

_LOCATION = {"Location": {"description": "Where the experiment is", "required": True, "schema": {"type": "string"}}}
_MADE: dict[int | str, dict[str, Any]] = {
    201: {"description": "It is on record and queued.", "headers": _LOCATION},
    200: {"description": "The same spec is on record already.", "model": models.Experiment, "headers": _LOCATION},
}
# What two kinds of endpoints share: those that ask something of an experiment, and those that may make one.
_ASKING: dict[str, Any] = {
    "status_code": 202,
    "response_model": models.Experiment,
    "responses": problems.responses(404, 409, 422, 503),
}
_MAKING: dict[str, Any] = {
    "status_code": 201,
    "response_model": models.Experiment,
    "responses": {**_MADE, **problems.responses(400, 404, 409, 413, 415, 422, 503, 507)},
}
_LINK = {"Link": {"description": 'The address of the next page, rel="next"', "schema": {"type": "string"}}}


@router.post(
    "",
    summary="Submit an experiment",
    status_code=201,
    response_model=models.Experiment,
    responses={**_MADE, **problems.responses(400, 409, 413, 415, 422, 503, 507)},
    openapi_extra=SPEC_IN_OPENAPI,
)
def submit_experiment(
    spec: PostedSpec, how: Annotated[Submit, Query()], service: Service, once: OnlyOnce, tasks: BackgroundTasks
) -> Response:
    """Queue an experiment. The same spec again gives the one there is, unless that failed or was cancelled."""
    refuse_unknown_folder(spec, service)
    queue = queue_of(spec, service.settings)
    return _make(service, once, tasks, lambda session: lifecycle.submit(session, spec, queue, rerun=how.rerun))


@router.get(
    "",
    summary="List experiments",
    response_model=models.Experiments,
    responses={200: {"headers": _LINK}, **problems.responses(422, 503)},
)
def list_experiments(which: Annotated[Listing, Query()], service: Service, request: Request) -> Response:
    """Experiments, newest first unless asked otherwise, page by page."""
    oldest_first = which.order == "oldest"
    with service.database.reading() as session:
        page = stored.page(session, which.filters, which.limit, which.cursor, oldest_first=oldest_first)
    response = written.answer(written.experiments(page))
    next_page(request, response, page.next_cursor)
    return response


@router.get(
    "/{id}", summary="Get an experiment", response_model=models.Experiment, responses=problems.responses(404, 503)
)
async def get_experiment(experiment_id: ExperimentId, service: Service) -> Response:
    """One experiment as it is now."""
    found = await service.glances.of(partial(stored.one, experiment_id=experiment_id))
    return written.answer(written.experiment(found))


@router.delete("/{id}", summary="Delete an experiment", status_code=204, responses=problems.responses(404, 409, 503))
def delete_experiment(experiment_id: ExperimentId, service: Service) -> None:
    """Remove an experiment and everything recorded of it; one that is running must be cancelled first."""
    with service.database.transaction() as session:
        lifecycle.delete(session, experiment_id)
    checkpoints.forget(service.settings.checkpoint_dir, experiment_id)
    features.forget(service.database, experiment_id)


@router.post("/{id}/cancel", summary="Cancel an experiment", **_ASKING)
def cancel_experiment(experiment_id: ExperimentId, service: Service, once: OnlyOnce) -> Response:
    """Ask an experiment to end: at once if it waits, else once its process is gone. Asking twice is harmless."""
    return _ask(service, once, partial(lifecycle.cancel, experiment_id=experiment_id))


@router.post("/{id}/pause", summary="Pause an experiment", **_ASKING)
def pause_experiment(experiment_id: ExperimentId, service: Service, once: OnlyOnce) -> Response:
    """Ask an experiment to make way until it is resumed: at once if it waits, else once its process is gone."""
    return _ask(service, once, partial(lifecycle.pause, experiment_id=experiment_id))


@router.post("/{id}/resume", summary="Resume an experiment", **_ASKING)
def resume_experiment(
    experiment_id: ExperimentId, service: Service, once: OnlyOnce, tasks: BackgroundTasks
) -> Response:
    """Let a paused experiment go on where it stopped; one that is only about to pause stays on its way."""

    def work(session: Session) -> Experiment:
        resumed = lifecycle.resume(session, experiment_id)
        tasks.add_task(service.hints.wake, resumed.queue)
        return resumed

    return _ask(service, once, work)


@router.post("/{id}/retry", summary="Retry an experiment", **_MAKING)
def retry_experiment(experiment_id: ExperimentId, service: Service, once: OnlyOnce, tasks: BackgroundTasks) -> Response:
    """Run once more what failed or was cancelled: a new experiment, and the old one keeps its log and its reason."""
    return _make(service, once, tasks, partial(lifecycle.retry, experiment_id=experiment_id))


@router.post("/{id}/extend", summary="Extend an experiment", **_MAKING, openapi_extra=EXTENSION_IN_OPENAPI)
def extend_experiment(
    experiment_id: ExperimentId, how: PostedExtension, service: Service, once: OnlyOnce, tasks: BackgroundTasks
) -> Response:
    """Train one that has succeeded on to more epochs: a new experiment that starts from its last checkpoint."""
    return _make(
        service,
        once,
        tasks,
        partial(lifecycle.extend, experiment_id=experiment_id, epochs=how.epochs, assignments=how.set),
    )


def _ask(service: Context, once: Once, work: Callable[[Session], Experiment]) -> Response:
    return once.answer(service.database, lambda session: Reply(202, models.Experiment.of(work(session))))


def _make(service: Context, once: Once, tasks: BackgroundTasks, work: Callable[[Session], Submitted]) -> Response:
    """Do what may make an experiment; once that is committed and the answer sent, wake the workers it waits for."""

    def reply(session: Session) -> Reply:
        submitted = work(session)
        shown = models.Experiment.of(submitted.experiment)
        if submitted.created:
            room.check(session, service.settings)
            tasks.add_task(service.hints.wake, shown.queue)
        return Reply(201 if submitted.created else 200, shown, shown.links.self)

    return once.answer(service.database, reply)


def refuse_unknown_folder(spec: Spec, service: Context) -> None:
    """Refuse an image folder that no operator registered: no worker could find it.

    Raises:
        ProblemError: 422.
    """
    folders = sorted(service.settings.data.folders)
    if isinstance(spec.dataset, ImageFolder) and spec.dataset.name not in folders:
        known = f"registered are {', '.join(folders)}" if folders else "none is registered (NCMIX_IMAGE_FOLDERS)"
        wrong = Problem("/dataset/name", f"There is no image folder {spec.dataset.name!r} here; {known}.")
        raise problems.invalid_spec([wrong])
