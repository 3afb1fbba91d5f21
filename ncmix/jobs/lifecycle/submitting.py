"""How an experiment comes into the queue: by its spec, again after a bad end, or as a longer run of another."""

import secrets
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import ColumnElement, insert, not_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from ncmix.jobs.checkpoints import usable
from ncmix.jobs.fencing import clock, locked
from ncmix.jobs.room import expected
from ncmix.jobs.states import NotAllowedError, State
from ncmix.jobs.tables import Event, Experiment, ExperimentTag, SweepCell
from ncmix.spec import Spec, extended, parse

# The same spec again is a new experiment if the last one came, or is coming, to one of these ends.
AGAIN: tuple[State, ...] = ("failed", "cancelled", "cancelling")


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
    (submitted,) = submit_all(session, [(spec, queue)], rerun=rerun, parent=parent)
    return submitted


def submit_all(
    session: Session,
    wanted: Sequence[tuple[Spec, str]],
    *,
    rerun: bool = False,
    parent: Experiment | None = None,
) -> list[Submitted]:
    """Put many experiments in the queue as `submit` does one, in few statements; gives them in the order wanted.

    Of the same spec twice there is one experiment.

    Args:
        session: inside a transaction.
        wanted: specs with their queues.
        rerun: run them again even if they succeeded.
        parent: the experiment that the new ones are made from.
    """
    keys = [spec.key for spec, _ in wanted]
    latest = _latest(session, keys)
    at = clock(session)
    new = {
        key: _row(spec, key, queue, latest[key].repeat + 1 if key in latest else 0, parent, at)
        for key, (spec, queue) in zip(keys, wanted, strict=True)
        if rerun or key not in latest or latest[key].state in AGAIN
    }
    made = _insert(session, new, parent) if new else {}
    found = {**{key: Submitted(there, created=False) for key, there in latest.items()}, **made}
    if lost := [(key, pair) for key, pair in zip(keys, wanted, strict=True) if key in new and key not in made]:
        # Somebody else submitted these at the same moment, and has committed: else we would still wait for them.
        theirs = submit_all(session, [pair for _, pair in lost], parent=parent)
        found |= {key: submitted for (key, _), submitted in zip(lost, theirs, strict=True)}
    if made and not rerun:
        _take_places(session, made)
    return _each_made_once(found[key] for key in keys)


def standing(session: Session, specs: Sequence[Spec]) -> dict[str, Experiment]:
    """The experiments that submitting these specs would give as they stand, by key; the others it would make."""
    found = _latest(session, [spec.key for spec in specs])
    return {key: experiment for key, experiment in found.items() if experiment.state not in AGAIN}


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
        NotAllowedError: it has not succeeded, or no checkpoint of its end is left, as after an import.
        SpecError: its spec cannot be extended, or not to so few epochs.
    """
    parent = locked(session, experiment_id)
    if parent.state != "succeeded":
        raise NotAllowedError(
            f"Experiment {experiment_id} is {parent.state}; only one that has succeeded can be extended."
        )
    made = submit(session, extended(parse(parent.spec), epochs, assignments), parent.queue, parent=parent)
    if made.created and not usable(session, made.experiment):
        # What was inserted goes with the transaction.
        raise NotAllowedError(
            f"Experiment {experiment_id} cannot be extended: no checkpoint of its end is here, from which to go on."
        )
    return made


def _latest(session: Session, keys: Sequence[str]) -> dict[str, Experiment]:
    """The last repetition of each key that is on record."""
    later = aliased(Experiment)
    newer = select(later.id).where(later.key == Experiment.key, later.repeat > Experiment.repeat).exists()
    found = session.scalars(select(Experiment).where(Experiment.key.in_(keys), not_(newer)))
    return {experiment.key: experiment for experiment in found}


def _insert(session: Session, new: Mapping[str, Mapping[str, Any]], parent: Experiment | None) -> dict[str, Submitted]:
    """Insert rows by key, but for those that somebody else has inserted meanwhile."""
    on = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    statement = on.insert(Experiment).on_conflict_do_nothing(index_elements=["key", "repeat"]).returning(Experiment)
    # In one order everywhere: two who insert the same rows wait for each other at the first, and not crosswise.
    rows = sorted(({"id": i, **row} for i, row in zip(new_ids(len(new)), new.values(), strict=True)), key=_by_key)
    inserted = session.scalars(statement, rows)
    made = {experiment.key: Submitted(experiment, created=True) for experiment in inserted}
    tags = [
        {"experiment_id": s.experiment.id, "tag": tag}
        for s in made.values()
        for tag in sorted(set(s.experiment.spec["tags"]))
    ]
    if tags:
        session.execute(insert(ExperimentTag), tags)
    data = {"parent": parent.id} if parent else {}
    events = [_submitted(s.experiment, data) for s in made.values()]
    if events:
        session.execute(insert(Event), events)
    return made


def _by_key(row: Mapping[str, Any]) -> str:
    return row["key"]


def _submitted(experiment: Experiment, data: dict[str, Any]) -> dict[str, Any]:
    """The first event, which the row's first revision counts."""
    facts = {"at": experiment.created, "kind": "submitted", "state": experiment.state, "fence": experiment.fence}
    return {"experiment_id": experiment.id, **facts, "data": data}


def _take_places(session: Session, made: Mapping[str, Submitted]) -> None:
    """Where a sweep has lost the experiment of a spec, by deletion or a bad end, the new one stands in for it."""
    lost = select(Experiment.id).where(Experiment.id == SweepCell.experiment_id, Experiment.state.in_(AGAIN)).exists()
    empty: ColumnElement[bool] = SweepCell.experiment_id.is_(None)
    successor = aliased(Experiment)
    session.execute(
        update(SweepCell)
        .where(SweepCell.key == successor.key, successor.id.in_([s.experiment.id for s in made.values()]))
        .where(empty | lost)
        .values(experiment_id=successor.id)
        .execution_options(synchronize_session=False)
    )


def _each_made_once(submitted: Iterable[Submitted]) -> list[Submitted]:
    """The same experiment a second time was not made a second time."""
    seen: set[str] = set()
    result: list[Submitted] = []
    for each in submitted:
        result.append(replace(each, created=False) if each.experiment.id in seen else each)
        seen.add(each.experiment.id)
    return result


def new_ids(count: int) -> list[str]:
    """New ids, increasing: the milliseconds since 1970, and behind them a random number to count on from."""
    stamp, first = time.time_ns() // 1_000_000, secrets.randbelow(2**32 - count)
    return [f"{stamp:012x}{first + i:08x}" for i in range(count)]


def _row(spec: Spec, key: str, queue: str, repeat: int, parent: Experiment | None, at: float) -> dict[str, Any]:
    return {
        "key": key,
        "repeat": repeat,
        "parent_id": parent.id if parent else None,
        "title": spec.title,
        "spec": spec.model_dump(mode="json"),
        "dataset": spec.dataset.kind,
        "model": spec.model.kind,
        "loss": spec.loss.kind,
        "mix": spec.mix.kind,
        "state": "queued",
        "queue": queue,
        "priority": spec.priority,
        "devices": spec.devices,
        "created": at,
        "not_before": at,
        "epochs": spec.epochs,
        "revision": 1,
        "feature_bytes": expected(spec),
    }
