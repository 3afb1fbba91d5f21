"""What a spec means, before anything is queued."""

from fastapi import APIRouter

from api import models, problems
from api.bodies import SPEC_IN_OPENAPI, PostedSpec
from api.context import Context, Service
from api.routes.experiments import refuse_unknown_folder
from ncmix.jobs import lifecycle
from ncmix.jobs.queue import queue_of
from ncmix.spec import Spec, workload

router = APIRouter(prefix=f"{models.ROOT}/specs", tags=["experiments"])


@router.post("", responses=problems.responses(400, 413, 415, 422, 503), openapi_extra=SPEC_IN_OPENAPI)
def read_spec(spec: PostedSpec, service: Service) -> models.ReadSpec:
    """A spec with every default filled in, what it will take, and whether it is on record: nothing is queued."""
    return understood(spec, service)


def understood(spec: Spec, service: Context) -> models.ReadSpec:
    """What this service makes of a spec.

    Raises:
        ProblemError: 422, no worker here could run it.
    """
    refuse_unknown_folder(spec, service)
    with service.database.reading() as session:
        found = lifecycle.standing(session, spec)
        standing = None if found is None else models.Experiment.of(found)
    work = workload(spec)
    return models.ReadSpec(
        spec=spec.model_dump(mode="json"),
        key=spec.key,
        title=spec.title,
        queue=queue_of(spec, service.settings),
        measured_epochs=list(spec.measured_epochs),
        steps=work.steps,
        feature_bytes=work.feature_bytes,
        experiment=standing,
    )
