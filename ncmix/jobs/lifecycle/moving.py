"""The one move from state to state: refused unless the diagram has it, and put on record with its reason."""

from typing import Any

from sqlalchemy.orm import Session

from ncmix.jobs.fencing import add_event, clock, storable
from ncmix.jobs.states import HELD, MOVES, NotAllowedError, Reason, State
from ncmix.jobs.tables import Experiment

CANCELLED = Reason("cancelled_by_user", "It was cancelled by request.")
PAUSED = Reason("paused_by_user", "It was paused by request.")


def move(
    session: Session, experiment: Experiment, to: State, kind: str, reason: Reason | None, at: float | None = None
) -> State:
    """Bring an experiment, locked by the caller, to another state; `kind` is the event's, `at` when, if not now.

    Raises:
        NotAllowedError: no such move leads from the state it is in.
    """
    if to not in MOVES[experiment.state]:
        raise NotAllowedError(f"Experiment {experiment.id} is {experiment.state} and cannot become {to}.")
    at = clock(session) if at is None else at
    experiment.state = to
    experiment.reason_code = reason.code if reason else None
    experiment.reason_message = storable(reason.message) if reason else None
    if to not in HELD:
        experiment.lease_until = experiment.worker = None
    if not MOVES[to]:
        experiment.finished = at
    data: dict[str, Any] = {"reason": reason.code} if reason else {}
    add_event(session, experiment, kind, at, data)
    return to
