"""What a spec means, before anything is queued."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel

from api import models, problems
from api.bodies import SPEC_IN_OPENAPI, PostedSpec
from api.context import Context, Service
from api.routes.experiments import refuse_unknown_folder
from ncmix.jobs import lifecycle
from ncmix.jobs.queue import queue_of
from ncmix.spec import Spec, workload

router = APIRouter(prefix=f"{models.ROOT}/specs", tags=["experiments"])


class ReadSpec(BaseModel):
    """What a spec means: every default filled in, its key, where it would wait, when it is measured, what it takes.

    `steps` and `feature_bytes` are null where only a worker can see the data. `experiment` is the one that submitting
    the spec would give as it stands; null if a new one would be made.
    """

    spec: dict[str, Any]
    key: str
    title: str
    queue: str
    measured_epochs: list[int]
    steps: int | None
    feature_bytes: int | None
    experiment: models.Experiment | None


@router.post(
    "",
    summary="Read a spec, queue nothing",
    responses=problems.responses(400, 413, 415, 422, 503),
    openapi_extra=SPEC_IN_OPENAPI,
)
def read_spec(spec: PostedSpec, service: Service) -> ReadSpec:
    """A spec with every default filled in, what it will take, and whether it is on record: nothing is queued."""
    return understood(spec, service)


def understood(spec: Spec, service: Context) -> ReadSpec:
    """What this service makes of a spec.

    Raises:
        ProblemError: 422, no worker here could run it.
    """
    refuse_unknown_folder(spec, service)
    with service.database.reading() as session:
        found = lifecycle.standing(session, [spec]).get(spec.key)
        standing = None if found is None else models.Experiment.of(found)
    work = workload(spec)
    return ReadSpec(
        spec=spec.model_dump(mode="json"),
        key=spec.key,
        title=spec.title,
        queue=queue_of(spec, service.settings),
        measured_epochs=list(spec.measured_epochs),
        steps=work.steps,
        feature_bytes=work.feature_bytes,
        experiment=standing,
    )
