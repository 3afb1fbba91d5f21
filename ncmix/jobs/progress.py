"""How far sweeps are: their cells by state, the share of the epochs done, and how long the rest will take."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from ncmix.jobs.states import FINAL, State
from ncmix.jobs.tables import Experiment, SweepCell

# Of a cell without an experiment: it was deleted.
CellState = State | Literal["missing"]


@dataclass(frozen=True)
class Progress:
    """How far a sweep is.

    Attributes:
        states: how many of its cells are in each state.
        progress: the share of all epochs that is done, 0 to 1; what failed or is missing lacks its own.
        eta_seconds: how long the rest will take if as many run at once as do now; None if nothing runs, or if no epoch
            of some kind of cell was done yet.
    """

    states: dict[CellState, int]
    progress: float
    eta_seconds: float | None


class _Share(NamedTuple):
    """The cells of a sweep that are in one state, of one dataset and model; the rest is sums over them."""

    state: State | None
    dataset: str | None
    model: str | None
    cells: int
    epochs: int | None
    done: float | None
    seconds: float | None
    timed: int


def of(session: Session, sweep_ids: Sequence[str]) -> dict[str, Progress]:
    """How far each of these sweeps is, in one statement."""
    part = case((Experiment.steps > 0, Experiment.step * 1.0 / Experiment.steps), else_=0.0)
    done = case((Experiment.state == "succeeded", Experiment.epochs * 1.0), else_=Experiment.epoch + part)
    kind = (SweepCell.sweep_id, Experiment.state, Experiment.dataset, Experiment.model)
    numbers = (func.sum(Experiment.epochs).label("epochs"), func.sum(done).label("done"))
    pace = (func.sum(Experiment.epoch_seconds).label("seconds"), func.count(Experiment.epoch_seconds).label("timed"))
    query = (
        select(*kind, func.count().label("cells"), *numbers, *pace)
        .select_from(SweepCell)
        .outerjoin(Experiment, Experiment.id == SweepCell.experiment_id)
        .where(SweepCell.sweep_id.in_(sweep_ids))
        .group_by(*kind)
    )
    shares: dict[str, list[_Share]] = {sweep_id: [] for sweep_id in sweep_ids}
    for row in session.execute(query):
        shares[row.sweep_id].append(_Share(*row[1:]))
    return {sweep_id: _progress(found) for sweep_id, found in shares.items()}


def _progress(shares: Sequence[_Share]) -> Progress:
    states: Counter[CellState] = Counter()
    for share in shares:
        states[share.state or "missing"] += share.cells
    cells = sum(states.values())
    known = cells - states["missing"]
    # Of a missing cell the epochs are not on record: it counts as the others do on average.
    epochs = sum(share.epochs or 0 for share in shares) * cells / known if known else 0
    done = sum(float(share.done or 0) for share in shares)
    return Progress(dict(sorted(states.items())), done / epochs if epochs else 0.0, _eta(shares, states["running"]))


def _eta(shares: Sequence[_Share], running: int) -> float | None:
    """The epochs left at the mean pace of the same dataset and model in this sweep, spread over what runs now."""
    seconds = 0.0
    for share in shares:
        if share.state is None or share.state in FINAL:
            continue
        alike = [s for s in shares if (s.dataset, s.model) == (share.dataset, share.model) and s.timed]
        if not running or not alike:
            return None
        pace = sum(s.seconds or 0.0 for s in alike) / sum(s.timed for s in alike)
        seconds += ((share.epochs or 0) - float(share.done or 0)) * pace
    return seconds / running if running else None
