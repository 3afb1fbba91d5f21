"""Whether the process lives, and whether it can work."""

from fastapi import APIRouter

from api import models, problems
from api.context import Service
from ncmix.jobs import migrate

router = APIRouter(tags=["health"])


@router.get("/healthz", summary="Check that the process answers")
async def healthz() -> models.Health:
    """The process answers."""
    return models.Health()


@router.get("/readyz", summary="Check that the service can work", responses=problems.responses(503))
def readyz(service: Service) -> models.Readiness:
    """The database answers and has the schema of this program. Without the broker it is degraded, not dead."""
    wanted, found = migrate.head(), migrate.current(service.database.engine)
    if found != wanted:
        detail = f"The schema is at revision {found}, this program needs {wanted}: run python -m ncmix.jobs.migrate."
        raise problems.ProblemError(problems.problem(503, "unavailable", detail))
    if service.hints.can_be_sent():
        return models.Readiness(status="ready", broker="answers", schema_revision=wanted)
    return models.Readiness(status="degraded", broker="does not answer", schema_revision=wanted)
