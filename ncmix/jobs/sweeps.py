"""Sweeps on record: submitted as a whole, filled up again where cells failed, cancelled, found and removed.

An experiment can be a cell of many sweeps. Cancelling or deleting a sweep touches only those of its experiments that
were made for a sweep and that no other sweep still wants: what somebody submitted by itself, or has in another sweep
that was not cancelled, goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, aliased

from ncmix.errors import NcmixError
from ncmix.jobs import cursors, lifecycle
from ncmix.jobs.fencing import clock
from ncmix.jobs.lifecycle import Submitted
from ncmix.jobs.queue import queue_of
from ncmix.jobs.settings import Settings
from ncmix.jobs.tables import Experiment, Sweep, SweepCell
from ncmix.spec import Cell, Expansion, expand, parse_sweep
from ncmix.spec import Sweep as Definition


class UnknownSweepError(NcmixError, LookupError):
    """There is no such sweep."""

    def __init__(self, sweep_id: str) -> None:
        super().__init__(f"There is no sweep {sweep_id!r}.")


@dataclass(frozen=True)
class Filled:
    """A sweep all of whose cells are on record: whether it is new, and what became of the cells that lacked a run.

    Of the experiments in `made` none was there before; `shared` cells are served by experiments that were.
    """

    sweep: Sweep
    created: bool
    made: tuple[Experiment, ...]
    shared: int


@dataclass(frozen=True)
class Page:
    """Some sweeps, and the cursor of those that follow; None at the end."""

    items: list[Sweep]
    next_cursor: str | None


def submit(session: Session, definition: Definition, expansion: Expansion, settings: Settings) -> Filled:
    """Put a sweep on record and queue its cells, all or none; of one that is on record, what is missing or failed.

    Args:
        session: inside a transaction.
        definition: what was posted; its name, tags and other words matter only if it is new.
        expansion: its cells.
        settings: decide the queue of what may run anywhere.
    """
    on = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
    row = {
        "id": lifecycle.new_ids(1)[0],
        "key": expansion.key,
        "name": definition.name,
        "definition": definition.model_dump(mode="json"),
        "created": clock(session),
    }
    # Of two at once the second waits here for the first, and then finds every cell there.
    statement = on.insert(Sweep).on_conflict_do_nothing(index_elements=["key"]).returning(Sweep.id)
    created = session.scalar(statement, row) is not None
    sweep = session.scalars(select(Sweep).where(Sweep.key == expansion.key).with_for_update()).one()
    made, shared = _fill(session, sweep, expansion.cells, settings)
    return Filled(sweep, created, made, shared)


def retry(session: Session, sweep_id: str, settings: Settings) -> Filled:
    """Queue what of a sweep is missing, failed or cancelled, as posting it again does.

    Raises:
        UnknownSweepError: there is none of this id.
        SpecError: its definition is from another time and cannot be used any more.
    """
    sweep = _locked(session, sweep_id)
    made, shared = _fill(session, sweep, expand(parse_sweep(sweep.definition)).cells, settings)
    return Filled(sweep, created=False, made=made, shared=shared)


def get(session: Session, sweep_id: str) -> Sweep:
    """The sweep of this id.

    Raises:
        UnknownSweepError: there is none.
    """
    sweep = session.get(Sweep, sweep_id)
    if sweep is None:
        raise UnknownSweepError(sweep_id)
    return sweep


def listing(session: Session, limit: int = 50, cursor: str | None = None) -> Page:
    """Sweeps, newest first, at most `limit`, going on behind `cursor` of the page before.

    Raises:
        CursorError: the cursor is none of ours.
    """
    query = select(Sweep)
    if cursor:
        query = query.where(tuple_(Sweep.created, Sweep.id) < tuple_(*cursors.read(cursor)))
    found = list(session.scalars(query.order_by(Sweep.created.desc(), Sweep.id.desc()).limit(limit + 1)))
    items = found[:limit]
    return Page(items, cursors.write(items[-1].created, items[-1].id) if len(found) > limit else None)


def versions(session: Session, sweep_id: str) -> list[tuple[str, int]]:
    """The ids and revisions of what has succeeded of a sweep, in the order of its cells.

    Raises:
        UnknownSweepError: there is none of this id.
    """
    _require(session, sweep_id)
    query = (
        select(Experiment.id, Experiment.revision)
        .join(SweepCell, SweepCell.experiment_id == Experiment.id)
        .where(SweepCell.sweep_id == sweep_id, Experiment.state == "succeeded")
        .order_by(SweepCell.number)
    )
    return [(experiment_id, revision) for experiment_id, revision in session.execute(query)]


def _require(session: Session, sweep_id: str) -> None:
    if session.scalar(select(Sweep.id).where(Sweep.id == sweep_id)) is None:
        raise UnknownSweepError(sweep_id)


def cancel(session: Session, sweep_id: str) -> list[Experiment]:
    """Ask that a sweep end: every experiment that is its own, as `lifecycle.cancel` does. Asking twice is harmless.

    Gives the experiments of which it was not asked before.

    Raises:
        UnknownSweepError: there is none of this id.
    """
    sweep = _locked(session, sweep_id)
    if sweep.cancelled is None:
        sweep.cancelled = clock(session)
        session.flush()
    other = aliased(Sweep)
    return lifecycle.cancel_all(session, _own(session, sweep_id, other, other.cancelled.is_(None)))


def delete(session: Session, sweep_id: str, *, experiments: bool = False) -> list[str]:
    """Remove a sweep, and with `experiments` those that are its own; gives the ids of these.

    Raises:
        UnknownSweepError: there is none of this id.
        NotAllowedError: a worker is at one of the experiments.
    """
    sweep = _locked(session, sweep_id)
    ids = _own(session, sweep_id, aliased(Sweep)) if experiments else []
    session.delete(sweep)
    session.flush()
    lifecycle.delete_all(session, ids)
    return ids


def _locked(session: Session, sweep_id: str) -> Sweep:
    sweep = session.get(Sweep, sweep_id, with_for_update=True)
    if sweep is None:
        raise UnknownSweepError(sweep_id)
    return sweep


def _fill(
    session: Session, sweep: Sweep, cells: Sequence[Cell], settings: Settings
) -> tuple[tuple[Experiment, ...], int]:
    """Queue the cells that have no experiment, or one that came to a bad end; what is made, and how many are shared."""
    there = _in_order(session, sweep.id)
    wanted = [cell for cell in cells if cell.number not in there]
    submitted = lifecycle.submit_all(session, [(cell.spec, queue_of(cell.spec, settings)) for cell in wanted])
    _tie(session, sweep.id, wanted, submitted)
    sweep.cancelled = None
    session.flush()
    made = tuple(s.experiment for s in submitted if s.created)
    return made, len(submitted) - len(made)


def _in_order(session: Session, sweep_id: str) -> set[int]:
    """The numbers of the cells that need nothing: what they have waits, runs or has succeeded."""
    query = select(SweepCell.number).join(Experiment, SweepCell.experiment_id == Experiment.id)
    return set(session.scalars(query.where(SweepCell.sweep_id == sweep_id, Experiment.state.not_in(lifecycle.AGAIN))))


def _tie(session: Session, sweep_id: str, cells: Sequence[Cell], submitted: Sequence[Submitted]) -> None:
    rows = [
        {
            "sweep_id": sweep_id,
            "number": cell.number,
            "key": cell.key,
            "experiment_id": one.experiment.id,
            "made": one.created,
            "coordinates": cell.coordinates,
        }
        for cell, one in zip(cells, submitted, strict=True)
    ]
    if rows:
        on = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        new = on.insert(SweepCell)
        anew = {name: new.excluded[name] for name in ("key", "experiment_id", "made")}
        session.execute(new.on_conflict_do_update(index_elements=["sweep_id", "number"], set_=anew), rows)


def _own(session: Session, sweep_id: str, other: type[Sweep], *which: ColumnElement[bool]) -> list[str]:
    """The experiments of a sweep that were made for a sweep and are in no other one, or in none of `which`."""
    mine, theirs, makers = aliased(SweepCell), aliased(SweepCell), aliased(SweepCell)
    made = select(makers.number).where(makers.experiment_id == mine.experiment_id, makers.made).exists()
    wanted = (
        select(theirs.number)
        .join(other, other.id == theirs.sweep_id)
        .where(theirs.experiment_id == mine.experiment_id, other.id != sweep_id, *which)
        .exists()
    )
    here = select(mine.experiment_id).where(mine.sweep_id == sweep_id, mine.experiment_id.is_not(None))
    return [found for found in session.scalars(here.where(made, ~wanted)) if found]
