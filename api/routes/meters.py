"""The address that Prometheus reads."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST

from api import problems
from api.context import Service

router = APIRouter(tags=["health"])

_EXAMPLE = '# TYPE ncmix_experiments gauge\nncmix_experiments{state="queued"} 3.0\n'
_TEXT = {
    "description": "Prometheus' text format.",
    "content": {"text/plain": {"schema": {"type": "string"}, "example": _EXAMPLE}},
}


@router.get(
    "/metrics", summary="Read the meters", response_class=Response, responses={200: _TEXT, **problems.responses(503)}
)
def get_meters(service: Service) -> Response:
    """The service in numbers, for Prometheus: queue, leases, attempts, deaths, epochs, GPU memory, latencies."""
    return Response(service.meters.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})
