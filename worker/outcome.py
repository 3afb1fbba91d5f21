"""What a child says of its end, in one line of JSON over a pipe."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

from ncmix.jobs.states import Reason


@dataclass(frozen=True)
class Outcome:
    """How the training ended: to its end, by a failure with a `reason`, or because it was told to stop."""

    kind: Literal["finished", "failed", "stopped"]
    reason: Reason | None = None


def write(outcome: Outcome) -> bytes:
    """As the line that `read` understands."""
    return json.dumps(asdict(outcome)).encode() + b"\n"


def read(data: bytes) -> Outcome | None:
    """The outcome in what came over the pipe; None if the child died before it had said everything."""
    if not data.endswith(b"\n"):
        return None
    fields = json.loads(data)
    reason = fields["reason"]
    return Outcome(fields["kind"], Reason(**reason) if reason else None)
