"""What people ask of an experiment: to pause, to go on, to end, to be gone. Asking twice is harmless."""

from sqlalchemy import delete as delete_from
from sqlalchemy.orm import Session

from ncmix.jobs.fencing import clock, locked
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
    match experiment.state:
        case "queued" | "paused":
            move(session, experiment, "cancelled", "cancelled", CANCELLED)
        case "running" | "pausing":
            move(session, experiment, "cancelling", "cancel_asked", CANCELLED)
        case "cancelling" | "cancelled":
            pass
        case "succeeded" | "failed":
            raise _refused(experiment, "only one that is queued, running or paused can be cancelled")
    return experiment


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
    experiment = locked(session, experiment_id)
    if experiment.state in HELD:
        raise NotAllowedError(f"Experiment {experiment_id} is {experiment.state}; cancel it before deleting it.")
    session.execute(delete_from(Experiment).where(Experiment.id == experiment_id))


def _refused(experiment: Experiment, allowed: str) -> NotAllowedError:
    """The sentence that says why not: `has already failed`, `was already cancelled`, `is being cancelled`."""
    said = {
        "succeeded": "has already succeeded",
        "failed": "has already failed",
        "cancelled": "was already cancelled",
        "cancelling": "is being cancelled",
    }[experiment.state]
    return NotAllowedError(f"Experiment {experiment.id} {said}; {allowed}.")
