"""How an experiment comes into the queue: by its spec, again after a bad end, or as a longer run of another."""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from ncmix.jobs.fencing import add_event, clock, locked
from ncmix.jobs.room import expected
from ncmix.jobs.states import NotAllowedError
from ncmix.jobs.tables import Experiment, ExperimentTag
from ncmix.spec import Spec, extended, parse


@dataclass(frozen=True)
class Submitted:
    """The experiment of a spec, and whether it was made just now."""

    experiment: Experiment
    created: bool


def submit(
    session: Session, spec: Spec, queue: str, *, rerun: bool = False, parent: Experiment | None = None
) -> Submitted:
    """Put an experiment in the queue, or give the one that has this spec, unless that failed or was cancelled.

    Args:
        session: inside a transaction.
        spec: what to run; its name, tags and priority matter only if it is new.
        queue: the queue of workers, from `queue.queue_of`.
        rerun: run it again even if it succeeded.
        parent: the experiment that it is made from, if it is new.
    """
    latest = _latest(session, spec.key)
    if latest and not rerun and latest.state not in ("failed", "cancelled", "cancelling"):
        return Submitted(latest, created=False)
    repeat = latest.repeat + 1 if latest else 0
    try:
        with session.begin_nested():
            return Submitted(_insert(session, spec, queue, repeat, parent), created=True)
    except IntegrityError:
        # Somebody else submitted it at the same moment, and has committed: else we would still wait for them.
        winner = _latest(session, spec.key)
        if winner is None or winner.repeat < repeat:
            raise
        return Submitted(winner, created=False)


def retry(session: Session, experiment_id: str) -> Submitted:
    """Run the spec of an experiment that failed or was cancelled once more, beside it; once, however often asked.

    Raises:
        UnknownExperimentError: there is none of this id.
        NotAllowedError: it has succeeded, or has not ended yet.
        SpecError: its spec is from another time and cannot be used any more.
    """
    old = locked(session, experiment_id)
    if old.state not in ("failed", "cancelled"):
        raise NotAllowedError(
            f"Experiment {experiment_id} is {old.state}; only one that failed or was cancelled can be retried."
        )
    return submit(session, parse(old.spec), old.queue, parent=old)


def extend(session: Session, experiment_id: str, epochs: int, assignments: Sequence[str] = ()) -> Submitted:
    """Train on to more epochs: a new experiment, which starts from the last checkpoint of this one.

    Args:
        session: inside a transaction.
        experiment_id: the parent.
        epochs: all epochs of the new experiment, those of the parent included.
        assignments: `field=value` words for what else changes, as `ncmix.spec.extended` has them.

    Raises:
        UnknownExperimentError: there is none of this id.
        NotAllowedError: it has not succeeded.
        SpecError: its spec cannot be extended, or not to so few epochs.
    """
    parent = locked(session, experiment_id)
    if parent.state != "succeeded":
        raise NotAllowedError(
            f"Experiment {experiment_id} is {parent.state}; only one that has succeeded can be extended."
        )
    return submit(session, extended(parse(parent.spec), epochs, assignments), parent.queue, parent=parent)


def _latest(session: Session, key: str) -> Experiment | None:
    return session.scalar(select(Experiment).where(Experiment.key == key).order_by(Experiment.repeat.desc()).limit(1))


def _insert(session: Session, spec: Spec, queue: str, repeat: int, parent: Experiment | None) -> Experiment:
    at = clock(session)
    experiment = Experiment(
        id=f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(4)}",
        key=spec.key,
        repeat=repeat,
        parent_id=parent.id if parent else None,
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
        feature_bytes=expected(spec),
    )
    session.add(experiment)
    session.flush()
    session.add_all(ExperimentTag(experiment_id=experiment.id, tag=tag) for tag in sorted(set(spec.tags)))
    add_event(session, experiment, "submitted", at, {"parent": parent.id} if parent else {})
    session.flush()
    return experiment
