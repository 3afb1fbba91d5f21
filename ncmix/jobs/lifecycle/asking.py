"""What people ask of an experiment: to pause, to go on, to end, to be gone. Asking twice is harmless."""

from collections.abc import Sequence

from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from ncmix.jobs.fencing import clock, locked, locked_all
from ncmix.jobs.lifecycle.moving import CANCELLED, PAUSED, move
from ncmix.jobs.states import HELD, NotAllowedError
from ncmix.jobs.tables import Experiment


def cancel(session: Session, experiment_id: str) -> Experiment:
    """Ask that an experiment end: at once if it waits, else as soon as its child is gone.

    Raises:
        UnknownExperimentError: there is none of this id.
        NotAllowedError: it has succeeded or failed.
    """
    experiment = locked(session, experiment_id)
    if experiment.state in ("succeeded", "failed"):
        raise _refused(experiment, "only one that is queued, running or paused can be cancelled")
    _cancel(session, experiment, clock(session))
    return experiment


def cancel_all(session: Session, ids: Sequence[str]) -> list[Experiment]:
    """Ask of all these that they end, in few statements; gives those of which it was not asked before."""
    at = clock(session)
    return [experiment for experiment in locked_all(session, ids) if _cancel(session, experiment, at)]


def _cancel(session: Session, experiment: Experiment, at: float) -> bool:
    """Whether there was anything to ask for."""
    match experiment.state:
        case "queued" | "paused":
            move(session, experiment, "cancelled", "cancelled", CANCELLED, at)
        case "running" | "pausing":
            move(session, experiment, "cancelling", "cancel_asked", CANCELLED, at)
        case "cancelling" | "cancelled" | "succeeded" | "failed":
            return False
    return True


def pause(session: Session, experiment_id: str) -> Experiment:
    """Ask that an experiment make way until it is resumed: at once if it waits, else as soon as its child is gone.

    Raises:
        UnknownExperimentError: there is none of this id.
        NotAllowedError: it has ended, or is about to be cancelled.
    """
    experiment = locked(session, experiment_id)
    match experiment.state:
        case "queued":
            move(session, experiment, "paused", "paused", PAUSED)
        case "running":
            move(session, experiment, "pausing", "pause_asked", PAUSED)
        case "pausing" | "paused":
            pass
        case "cancelling" | "succeeded" | "failed" | "cancelled":
            raise _refused(experiment, "only one that is queued or running can be paused")
    return experiment


def resume(session: Session, experiment_id: str) -> Experiment:
    """Let a paused experiment go on, or take back a pause that has not come true yet.

    In the latter case its child may have been told to stop already: then it is queued once that is gone.

    Raises:
        UnknownExperimentError: there is none of this id.
        NotAllowedError: it has ended, or is about to be cancelled.
    """
    experiment = locked(session, experiment_id)
    match experiment.state:
        case "paused":
            experiment.not_before = clock(session)
            move(session, experiment, "queued", "resumed", None)
        case "pausing":
            move(session, experiment, "running", "resumed", None)
        case "queued" | "running":
            pass
        case "cancelling" | "succeeded" | "failed" | "cancelled":
            raise _refused(experiment, "only one that is paused can be resumed")
    return experiment


def delete(session: Session, experiment_id: str) -> None:
    """Remove an experiment and everything recorded of it.

    Raises:
        UnknownExperimentError: there is none of this id.
        NotAllowedError: a worker is at it.
    """
    _delete(session, [locked(session, experiment_id)])


def delete_all(session: Session, ids: Sequence[str]) -> None:
    """Remove all these experiments, or none.

    Raises:
        NotAllowedError: a worker is at one of them.
    """
    _delete(session, locked_all(session, ids))


def _delete(session: Session, experiments: Sequence[Experiment]) -> None:
    if held := [experiment for experiment in experiments if experiment.state in HELD]:
        raise NotAllowedError(f"Experiment {held[0].id} is {held[0].state}; cancel it before deleting it.")
    session.execute(delete_from(Experiment).where(Experiment.id.in_([experiment.id for experiment in experiments])))


def _refused(experiment: Experiment, allowed: str) -> NotAllowedError:
    """The sentence that says why not: `has already failed`, `was already cancelled`, `is being cancelled`."""
    said = {
        "succeeded": "has already succeeded",
        "failed": "has already failed",
        "cancelled": "was already cancelled",
        "cancelling": "is being cancelled",
    }[experiment.state]
    return NotAllowedError(f"Experiment {experiment.id} {said}; {allowed}.")
