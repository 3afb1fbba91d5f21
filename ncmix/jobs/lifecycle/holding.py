"""What the holder of a lease does with its experiment, and how the lease of a dead one is taken away."""

from collections.abc import Sequence

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from ncmix.jobs.database import now
from ncmix.jobs.fencing import add_event, clock, held, is_held
from ncmix.jobs.lifecycle.moving import CANCELLED, PAUSED, move
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import HELD, Claim, Lease, LeaseLostError, Reason, State
from ncmix.jobs.tables import Experiment

_LONGEST_REST = 15 * 60.0


def claim(session: Session, queues: Sequence[str], worker: str, settings: Settings, gpus: int = 1) -> Claim | None:
    """Take the best queued experiment of these queues: by priority, then by age. None if nothing is queued.

    Of the queue `gpu` only what needs no more than `gpus` devices; on a CPU devices are processes.

    Where it goes on from is for the holder to find out: `checkpoints.begin` then drops what is later than that.
    """
    best = (
        select(Experiment.id)
        .where(
            Experiment.state == "queued",
            Experiment.queue.in_(queues),
            Experiment.not_before <= now(),
            or_(Experiment.queue == "cpu", Experiment.devices <= gpus),
        )
        .order_by(Experiment.priority.desc(), Experiment.created, Experiment.id)
        .limit(1)
        .with_for_update(skip_locked=True, key_share=True)
    )
    taken = session.scalar(
        update(Experiment)
        .where(Experiment.id == best.scalar_subquery(), Experiment.state == "queued")
        .values(
            state="running",
            fence=Experiment.fence + 1,
            attempt=Experiment.attempt + 1,
            lease_until=now() + settings.lease_seconds,
            started=func.coalesce(Experiment.started, now()),
            worker=worker,
            reason_code=None,
            reason_message=None,
        )
        .returning(Experiment)
        .execution_options(synchronize_session=False)
    )
    if taken is None:
        return None
    add_event(session, taken, "claimed", clock(session), {"attempt": taken.attempt, "worker": worker})
    return Claim(Lease(taken.id, taken.fence), taken.attempt, taken.spec)


def renew(session: Session, lease: Lease, settings: Settings) -> State:
    """Extend the lease by its full length from now; the state says whether something is asked of the holder.

    Raises:
        LeaseLostError: it is not held any more.
    """
    state = session.scalar(
        update(Experiment)
        .where(is_held(lease))
        .values(lease_until=now() + settings.lease_seconds)
        .returning(Experiment.state)
        .execution_options(synchronize_session=False)
    )
    if state is None:
        raise LeaseLostError(lease)
    return state


def finish(session: Session, lease: Lease) -> State:
    """The training came to its end. Gives the state it is in now, here and below: `cancelled` if that was asked."""
    experiment = held(session, lease)
    done = Reason("finished", f"All epochs are done: {experiment.epochs}.")
    return _end(session, experiment, "succeeded", done)


def fail(session: Session, lease: Lease, reason: Reason) -> State:
    """It cannot succeed, and another attempt would not change that."""
    return _end(session, held(session, lease), "failed", reason)


def crash(session: Session, lease: Lease, reason: Reason, settings: Settings) -> State:
    """The child died without saying why, or of what is wrong with its slot: queued again after a rest, or failed when
    the attempts are used up.
    """
    return _try_again(session, held(session, lease), reason, settings)


def release(session: Session, lease: Lease) -> State:
    """The child was stopped before its end: what was asked for comes true, cancelled above all; if it was only the
    worker that is to stop, the experiment is queued again at once. This attempt is not charged.
    """
    experiment = held(session, lease)
    experiment.attempt -= 1
    if experiment.state != "running":
        return _stop_asked_for(session, experiment)
    return move(session, experiment, "queued", "released", None)


def reap(session: Session, settings: Settings) -> list[Experiment]:
    """Take every experiment whose lease has run out from its holder; gives them in their new states.

    Any process may call it, at any time: of two at once each takes what the other has not.
    """
    expired = (
        select(Experiment)
        .where(Experiment.state.in_(HELD), Experiment.lease_until < now())
        .with_for_update(skip_locked=True, key_share=True)
    )
    reaped = list(session.scalars(expired))
    for experiment in reaped:
        reason = Reason("worker_lost", f"Its worker {experiment.worker} gave no sign of life and is taken for dead.")
        _try_again(session, experiment, reason, settings)
    return reaped


def _end(session: Session, experiment: Experiment, to: State, reason: Reason) -> State:
    if experiment.state == "cancelling":
        return _stop_asked_for(session, experiment)
    return move(session, experiment, to, to, reason)


def _try_again(session: Session, experiment: Experiment, reason: Reason, settings: Settings) -> State:
    if experiment.state != "running":
        return _stop_asked_for(session, experiment)
    count = f"attempt {experiment.attempt} of {settings.max_attempts}"
    if experiment.attempt >= settings.max_attempts:
        return move(session, experiment, "failed", "failed", Reason(reason.code, f"{reason.message} ({count})"))
    rest = min(settings.backoff_seconds * 2 ** (experiment.attempt - 1), _LONGEST_REST)
    experiment.not_before = clock(session) + rest
    sentence = f"{reason.message} ({count}; the next one in {rest:g} s)"
    return move(session, experiment, "queued", "requeued", Reason(reason.code, sentence))


def _stop_asked_for(session: Session, experiment: Experiment) -> State:
    """What a holder was asked for comes true once it is gone, however it went."""
    if experiment.state == "pausing":
        return move(session, experiment, "paused", "paused", PAUSED)
    return move(session, experiment, "cancelled", "cancelled", CANCELLED)
