"""A sweep as a table: its cells in groups, and of each group the mean and deviation of metrics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs import sweeps
from ncmix.jobs.tables import Experiment, MetricValue, SweepCell
from ncmix.plots.groups import spread
from ncmix.spec import axes, is_varied, value_at, written

# split -> name -> value, as in Experiment.latest
Values = Mapping[str, Mapping[str, float | None]]


class AxisError(NcmixError, ValueError):
    """A sweep does not vary this field; the message is a sentence."""


@dataclass(frozen=True)
class Statistic:
    """Of `n` cells that have a value: the mean, None without any, and the unbiased standard deviation, from two on."""

    n: int
    mean: float | None
    std: float | None


@dataclass(frozen=True)
class Group:
    """Cells that agree in the fields of the table.

    Attributes:
        fields: what they have there; None where a cell has no such field.
        cells: how many they are.
        succeeded: how many of them have succeeded.
        metrics: split -> name -> statistic.
    """

    fields: dict[str, Any]
    cells: int
    succeeded: int
    metrics: dict[str, dict[str, Statistic]]


@dataclass(frozen=True)
class Table:
    """The fields by which cells are in groups, and the groups in the order of their first cells."""

    fields: list[str]
    groups: list[Group]


@dataclass(frozen=True)
class _Measured:
    """A cell with the values that count."""

    coordinates: dict[str, Any]
    state: str | None
    values: Values


def table(
    session: Session,
    sweep_id: str,
    metrics: Sequence[str],
    splits: Sequence[str],
    epoch: int | None = None,
    by: Sequence[str] | None = None,
) -> Table:
    """Means and deviations over the cells of each group.

    Args:
        session: to read with.
        sweep_id: the sweep.
        metrics: names; of one that nothing has there are 0 values.
        splits: whose.
        epoch: of every cell that has recorded it; None for the last of those that have succeeded.
        by: fields that make the groups; None for all that vary but the seed, so that a group is one spec's seeds.

    Raises:
        UnknownSweepError: there is none of this id.
        AxisError: one of the fields does not vary.
    """
    sweeps.get(session, sweep_id)
    cells = _cells(session, sweep_id, metrics, epoch)
    places = [cell.coordinates for cell in cells]
    fields = axes(places) if by is None else list(by)
    if strange := [path for path in fields if not is_varied(places, path)]:
        known = ", ".join(dict.fromkeys(path for place in places for path in place))
        raise AxisError(f"This sweep does not vary {strange[0]!r}; it varies {known or 'nothing'}.")
    groups: dict[str, list[_Measured]] = {}
    for cell in cells:
        here = written([value_at(cell.coordinates, path) for path in fields])
        groups.setdefault(here, []).append(cell)
    return Table(fields, [_group(members, fields, metrics, splits) for members in groups.values()])


def varied(session: Session, sweep_id: str) -> list[str]:
    """What tells the cells of a sweep apart, but for the seed."""
    query = select(SweepCell.coordinates).where(SweepCell.sweep_id == sweep_id).order_by(SweepCell.number)
    return axes(list(session.scalars(query)))


def _cells(session: Session, sweep_id: str, metrics: Sequence[str], epoch: int | None) -> list[_Measured]:
    query = (
        select(SweepCell.coordinates, Experiment.id, Experiment.state, Experiment.latest)
        .outerjoin(Experiment, Experiment.id == SweepCell.experiment_id)
        .where(SweepCell.sweep_id == sweep_id)
        .order_by(SweepCell.number)
    )
    at_epoch = {} if epoch is None else _at(session, sweep_id, metrics, epoch)
    found: list[_Measured] = []
    for coordinates, experiment_id, state, latest in session.execute(query):
        last = latest if state == "succeeded" else {}
        found.append(_Measured(coordinates, state, last if epoch is None else at_epoch.get(experiment_id, {})))
    return found


def _at(session: Session, sweep_id: str, metrics: Sequence[str], epoch: int) -> Mapping[str, Values]:
    query = (
        select(MetricValue.experiment_id, MetricValue.split, MetricValue.name, MetricValue.value)
        .join(SweepCell, SweepCell.experiment_id == MetricValue.experiment_id)
        .where(SweepCell.sweep_id == sweep_id, MetricValue.epoch == epoch, MetricValue.name.in_(metrics))
    )
    found: dict[str, dict[str, dict[str, float | None]]] = {}
    for experiment_id, split, name, value in session.execute(query):
        found.setdefault(experiment_id, {}).setdefault(split, {})[name] = value
    return found


def _group(members: Sequence[_Measured], fields: Sequence[str], metrics: Sequence[str], splits: Sequence[str]) -> Group:
    return Group(
        fields={path: value_at(members[0].coordinates, path) for path in fields},
        cells=len(members),
        succeeded=sum(member.state == "succeeded" for member in members),
        metrics={
            split: {name: _statistic(m.values.get(split, {}).get(name) for m in members) for name in metrics}
            for split in splits
        },
    )


def _statistic(values: Iterable[float | None]) -> Statistic:
    known = np.array([value for value in values if value is not None], np.float64)
    if len(known) < 2:
        return Statistic(len(known), float(known[0]) if len(known) else None, None)
    mean, std = spread(known)
    return Statistic(len(known), float(mean), float(std))
