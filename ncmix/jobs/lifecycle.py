"""The life of an experiment; nothing else writes its state.

    submit ─▶ queued ──claim──▶ running ──finish──▶ succeeded
                │ ▲                │ │ └────fail──▶ failed       data_missing, diverged, oom, wall_time, …
                │ ├──crash, reap───┤ └─crash, reap─▶ failed      no attempts left: killed, crashed, worker_lost
                │ └────release─────┤                             the worker was told to stop: not charged
                │                cancel
                │                  ▼
                └─────cancel──▶ cancelling ──release, reap, …──▶ cancelled
                                  (queued: at once)

    running ─▶ pausing ─▶ paused ─▶ queued                       states are known here, their verbs are to come

Who holds the lease owns the experiment. A claim raises `fence` by one and every write of its holder names that fence:
when the lease has run out and another claim was made, the first holder can write nothing any more (`LeaseLostError`).
`cancelling` is a request to the holder; `cancelled` comes when its child is gone, and then wins over any other end.
Each verb runs in the caller's transaction; a hint to the workers is sent after the commit.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete as delete_from
from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ncmix.jobs.database import now
from ncmix.jobs.fencing import add_event, clock, held, is_held, locked, storable
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import HELD, MOVES, Claim, Lease, LeaseLostError, NotAllowedError, Reason, State
from ncmix.jobs.tables import Experiment, ExperimentTag
from ncmix.spec import Spec

BY_USER = Reason("cancelled_by_user", "It was cancelled by request.")
_LONGEST_REST = 15 * 60.0


@dataclass(frozen=True)
class Submitted:
    """The experiment of a spec, and whether it was made just now."""

    experiment: Experiment
    created: bool


def submit(session: Session, spec: Spec, queue: str, *, rerun: bool = False) -> Submitted:
    """Put an experiment in the queue, or give the one that has this spec, unless that failed or was cancelled.

    Args:
        session: inside a transaction.
        spec: what to run; its name, tags and priority matter only if it is new.
        queue: the queue of workers, from `queue.queue_of`.
        rerun: run it again even if it succeeded.
    """
    latest = _latest(session, spec.key)
    if latest and not rerun and latest.state not in ("failed", "cancelled", "cancelling"):
        return Submitted(latest, created=False)
    repeat = latest.repeat + 1 if latest else 0
    try:
        with session.begin_nested():
            return Submitted(_insert(session, spec, queue, repeat), created=True)
    except IntegrityError:
        # Somebody else submitted it at the same moment, and has committed: else we would still wait for them.
        winner = _latest(session, spec.key)
        if winner is None or winner.repeat < repeat:
            raise
        return Submitted(winner, created=False)


def claim(session: Session, queues: Sequence[str], worker: str, settings: Settings) -> Claim | None:
    """Take the best queued experiment of these queues: by priority, then by age. None if nothing is queued.

    Where it goes on from is for the holder to find out: `checkpoints.begin` then drops what is later than that.
    """
    best = (
        select(Experiment.id)
        .where(Experiment.state == "queued", Experiment.queue.in_(queues), Experiment.not_before <= now())
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
    return _end(session, lease, "succeeded", None)


def fail(session: Session, lease: Lease, reason: Reason) -> State:
    """It cannot succeed, and another attempt would not change that."""
    return _end(session, lease, "failed", reason)


def crash(session: Session, lease: Lease, reason: Reason, settings: Settings) -> State:
    """The child died without saying why: queued again after a rest, or failed when the attempts are used up."""
    return _try_again(session, held(session, lease), reason, settings)


def release(session: Session, lease: Lease) -> State:
    """The child was stopped before its end: what was asked for comes true, cancelled above all; if it was only the
    worker that is to stop, the experiment is queued again at once and this attempt is not charged.
    """
    experiment = held(session, lease)
    if experiment.state != "running":
        return _stop_asked_for(session, experiment)
    experiment.attempt -= 1
    return _move(session, experiment, "queued", "released", None)


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


def cancel(session: Session, experiment_id: str) -> Experiment:
    """Ask that an experiment end: at once if it waits, else as soon as its child is gone. Asking twice is harmless.

    Raises:
        UnknownExperimentError: there is none of this id.
        NotAllowedError: it has succeeded or failed.
    """
    experiment = locked(session, experiment_id)
    match experiment.state:
        case "queued" | "paused":
            _move(session, experiment, "cancelled", "cancelled", BY_USER)
        case "running" | "pausing":
            _move(session, experiment, "cancelling", "cancel_asked", BY_USER)
        case "cancelling" | "cancelled":
            pass
        case "succeeded" | "failed":
            raise NotAllowedError(
                f"Experiment {experiment_id} has already {experiment.state}; only one that is queued, running or "
                "paused can be cancelled."
            )
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


def _latest(session: Session, key: str) -> Experiment | None:
    return session.scalar(select(Experiment).where(Experiment.key == key).order_by(Experiment.repeat.desc()).limit(1))


def _insert(session: Session, spec: Spec, queue: str, repeat: int) -> Experiment:
    at = clock(session)
    experiment = Experiment(
        id=f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}",
        key=spec.key,
        repeat=repeat,
        title=spec.title,
        spec=spec.model_dump(mode="json"),
        dataset=spec.dataset.kind,
        model=spec.model.kind,
        loss=spec.loss.kind,
        mix=spec.mix.kind,
        state="queued",
        queue=queue,
        priority=spec.priority,
        created=at,
        not_before=at,
        epochs=spec.epochs,
        fence=0,
        revision=0,
    )
    session.add(experiment)
    session.flush()
    session.add_all(ExperimentTag(experiment_id=experiment.id, tag=tag) for tag in sorted(set(spec.tags)))
    add_event(session, experiment, "submitted", at, {})
    session.flush()
    return experiment


def _end(session: Session, lease: Lease, to: State, reason: Reason | None) -> State:
    experiment = held(session, lease)
    if experiment.state == "cancelling":
        return _stop_asked_for(session, experiment)
    return _move(session, experiment, to, to, reason)


def _try_again(session: Session, experiment: Experiment, reason: Reason, settings: Settings) -> State:
    if experiment.state != "running":
        return _stop_asked_for(session, experiment)
    count = f"attempt {experiment.attempt} of {settings.max_attempts}"
    if experiment.attempt >= settings.max_attempts:
        return _move(session, experiment, "failed", "failed", Reason(reason.code, f"{reason.message} ({count})"))
    rest = min(settings.backoff_seconds * 2 ** (experiment.attempt - 1), _LONGEST_REST)
    experiment.not_before = clock(session) + rest
    sentence = f"{reason.message} ({count}; the next one in {rest:g} s)"
    return _move(session, experiment, "queued", "requeued", Reason(reason.code, sentence))


def _stop_asked_for(session: Session, experiment: Experiment) -> State:
    """What a holder was asked for comes true once it is gone, however it went."""
    if experiment.state == "pausing":
        return _move(session, experiment, "paused", "paused", None)
    return _move(session, experiment, "cancelled", "cancelled", BY_USER)


def _move(session: Session, experiment: Experiment, to: State, kind: str, reason: Reason | None) -> State:
    if to not in MOVES[experiment.state]:
        raise NotAllowedError(f"Experiment {experiment.id} is {experiment.state} and cannot become {to}.")
    at = clock(session)
    experiment.state = to
    experiment.reason_code = reason.code if reason else None
    experiment.reason_message = storable(reason.message) if reason else None
    if to not in HELD:
        experiment.lease_until = experiment.worker = None
    if not MOVES[to]:
        experiment.finished = at
    add_event(session, experiment, kind, at, {"reason": reason.code} if reason else {})
    return to
