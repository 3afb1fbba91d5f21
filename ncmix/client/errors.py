"""What can go wrong between a client and a service, and how each is said."""

from collections.abc import Mapping
from typing import Any

import httpx2

from ncmix.errors import NcmixError

Json = dict[str, Any]


class ApiError(NcmixError):
    """The service refused; `status` is its HTTP status, `problem` the body of its answer (RFC 9457).

    `retry_after` is in how many seconds it wants to be asked again; None if it says nothing of that.
    """

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after: float | None = None) -> None:
        self.status, self.problem, self.retry_after = status, problem, retry_after
        super().__init__(_sentence(status, problem))

    @classmethod
    def of(cls, response: httpx2.Response) -> "ApiError":
        """What an answer that was read says."""
        asked = response.headers.get("retry-after", "")
        retry_after = float(asked) if asked.isdecimal() else None
        if response.headers.get("content-type", "").startswith("application/problem+json"):
            return cls(response.status_code, response.json(), retry_after)
        return cls(response.status_code, {"title": response.reason_phrase, "detail": response.text[:500]}, retry_after)


class UnreachableError(NcmixError):
    """Nobody answers at the service's address, or what answers breaks off."""


class ForeignError(UnreachableError):
    """What answers there is no such service: a proxy's login page, say. To ask again is of no use."""


class MissingError(NcmixError, LookupError):
    """No experiment or sweep has such an id, or several have; the message is a sentence."""


def _sentence(status: int, problem: Mapping[str, Any]) -> str:
    text = problem.get("detail") or problem.get("title") or f"HTTP status {status}"
    errors = [f"  {e['pointer'].strip('/').replace('/', '.')}: {e['detail']}" for e in problem.get("errors", [])]
    return "\n".join([f"The service refused ({status}): {text}", *errors])
