"""Experiments: submit, find, cancel and delete them."""

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, BackgroundTasks, Query, Request, Response

from api import models, problems
from api.bodies import SPEC_IN_OPENAPI, PostedSpec
from api.context import Context, Service
from api.parameters import ExperimentId, Listing, Submit
from ncmix.jobs import checkpoints, lifecycle, queries
from ncmix.jobs.lifecycle import Submitted
from ncmix.jobs.queue import queue_of
from ncmix.spec import ImageFolder, Problem, Spec

router = APIRouter(prefix=f"{models.ROOT}/experiments", tags=["experiments"])

_LOCATION = {"Location": {"description": "Where the experiment is", "schema": {"type": "string"}}}
_LINK = {"Link": {"description": 'The address of the next page, rel="next"', "schema": {"type": "string"}}}


@router.post(
    "",
    status_code=201,
    responses={
        201: {"description": "It is on record and queued.", "headers": _LOCATION},
        200: {"description": "The same spec is on record already.", "model": models.Experiment, "headers": _LOCATION},
        **problems.responses(400, 413, 415, 422, 503),
    },
    openapi_extra=SPEC_IN_OPENAPI,
)
def submit_experiment(
    spec: PostedSpec, how: Annotated[Submit, Query()], service: Service, tasks: BackgroundTasks, response: Response
) -> models.Experiment:
    """Queue an experiment. The same spec again gives the one there is, unless that failed or was cancelled."""
    refuse_unknown_folder(spec, service)
    (submitted,) = submit_all([spec], service, tasks, rerun=how.rerun)
    shown = models.Experiment.of(submitted.experiment)
    response.status_code = 201 if submitted.created else 200
    response.headers["Location"] = shown.links.self
    return shown


@router.get("", responses={200: {"headers": _LINK}, **problems.responses(422, 503)})
def list_experiments(
    which: Annotated[Listing, Query()], service: Service, request: Request, response: Response
) -> models.Experiments:
    """Experiments, newest first unless asked otherwise, page by page."""
    with service.database.reading() as session:
        page = queries.listing(session, which.filters, which.limit, which.cursor, oldest_first=which.order == "oldest")
    if page.next_cursor:
        following = request.url.include_query_params(cursor=page.next_cursor)
        response.headers["Link"] = f'<{following.path}?{following.query}>; rel="next"'
    return models.Experiments(items=[models.Experiment.of(e) for e in page.items], next_cursor=page.next_cursor)


@router.get("/{id}", responses=problems.responses(404, 503))
def get_experiment(experiment_id: ExperimentId, service: Service) -> models.Experiment:
    """One experiment as it is now."""
    with service.database.reading() as session:
        return models.Experiment.of(queries.get(session, experiment_id))


@router.delete("/{id}", status_code=204, responses=problems.responses(404, 409, 503))
def delete_experiment(experiment_id: ExperimentId, service: Service) -> None:
    """Remove an experiment and everything recorded of it; one that is running must be cancelled first."""
    with service.database.transaction() as session:
        lifecycle.delete(session, experiment_id)
    checkpoints.forget(service.settings.checkpoint_dir, experiment_id)


@router.post("/{id}/cancel", status_code=202, responses=problems.responses(404, 409, 503))
def cancel_experiment(experiment_id: ExperimentId, service: Service) -> models.Experiment:
    """Ask an experiment to end: at once if it waits, else once its process is gone. Asking twice is harmless."""
    with service.database.transaction() as session:
        cancelled = lifecycle.cancel(session, experiment_id)
    return models.Experiment.of(cancelled)


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


def submit_all(specs: Iterable[Spec], service: Context, tasks: BackgroundTasks, *, rerun: bool) -> list[Submitted]:
    """Put them on record, all or none; once that is committed and the answer sent, wake the workers they wait for."""
    with service.database.transaction() as session:
        submitted = [lifecycle.submit(session, s, queue_of(s, service.settings), rerun=rerun) for s in specs]
    for queue in sorted({s.experiment.queue for s in submitted if s.created}):
        tasks.add_task(service.hints.wake, queue)
    return submitted
