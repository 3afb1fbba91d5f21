"""Metrics over the epochs, by name and split: from their rows, or, of an experiment that is over, in one piece each.

A row an epoch is what a running experiment writes and what anybody can query. To read 320,000 of them takes a third of
a second, most of it to make objects of them one by one; in one piece each they take a few milliseconds.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Select, bindparam, delete, insert, select
from sqlalchemy.orm import Session

from ncmix.jobs.database import Database
from ncmix.jobs.states import FINAL
from ncmix.jobs.tables import Experiment, MetricCurve, MetricValue
from ncmix.results import Curve

Curves = Mapping[tuple[str, str], Curve]
"""By (name, split)."""

# Epochs, and the numbers of their rows if they are not all of them.
_Which = tuple[NDArray[np.int64], NDArray[np.int64] | None]

_EPOCHS, _VALUES = np.dtype("<i4"), np.dtype("<f8")

# Rows that are taken from the driver at once: so many stay in a processor's cache until they are in their lists.
_ROWS = 1000

# Runs whose pieces are read together, some 10 MB of whole ones.
_RUNS = 64


def keep(database: Database, experiment_id: str) -> None:
    """Put the curves of an experiment on record in one piece each, if it is over: then they stay as they are."""
    with database.reading() as session:
        found = of_rows(session, experiment_id, None, None)
    over = select(Experiment.id).where(Experiment.id == experiment_id, Experiment.state.in_(FINAL))
    with database.transaction() as session:
        if session.scalar(over.with_for_update(key_share=True)):
            put(session, experiment_id, found)


def put(session: Session, experiment_id: str, found: Curves) -> None:
    """Put all curves of an experiment that is over on record, in one piece each; see `keep`."""
    session.execute(delete(MetricCurve).where(MetricCurve.experiment_id == experiment_id))
    if found:
        session.execute(insert(MetricCurve), [_row(experiment_id, *key, found[key]) for key in sorted(found)])


def _row(experiment_id: str, name: str, split: str, curve: Curve) -> dict[str, str | bytes]:
    pieces = {"epochs": curve.epochs.astype(_EPOCHS).tobytes(), "values": curve.values.astype(_VALUES).tobytes()}
    return {"experiment_id": experiment_id, "split": split, "name": name, **pieces}


def of_rows(
    session: Session, experiment_id: str, metrics: Sequence[str] | None, epochs: Sequence[int] | None
) -> Curves:
    """Curves from their rows; None stands for all metrics, and for all epochs."""
    query = _rows_query(None if metrics is None else tuple(metrics), None if epochs is None else tuple(epochs))
    found: defaultdict[tuple[str, str], tuple[list[int], list[float | None]]] = defaultdict(lambda: ([], []))
    # Straight from the driver: rows of the ORM, or even of its core, would take longer than the database.
    rows = session.connection().execute(query, {"experiment_id": experiment_id}).cursor
    while rows and (some := rows.fetchmany(_ROWS)):
        for name, split, epoch, value in some:
            at, values = found[name, split]
            at.append(epoch)
            values.append(value)
    return {key: Curve(np.array(at, np.int64), np.array(values, np.float64)) for key, (at, values) in found.items()}


@lru_cache(64)
def _rows_query(metrics: tuple[str, ...] | None, epochs: tuple[int, ...] | None) -> Select[str, str, int, float | None]:
    """The query for them, of the experiment that is given to it: for a thousand experiments it is built once."""
    columns = (MetricValue.name, MetricValue.split, MetricValue.epoch, MetricValue.value)
    query = select(*columns).where(MetricValue.experiment_id == bindparam("experiment_id"))
    if metrics is not None:
        query = query.where(MetricValue.name.in_(metrics))
    if epochs is not None:
        query = query.where(MetricValue.epoch.in_(epochs))
    return query.order_by(MetricValue.epoch)


class Reader:
    """The curves of some metrics of several experiments, read for many at once as they are asked for one by one."""

    def __init__(self, session: Session, experiment_ids: Sequence[str], metrics: Sequence[str]) -> None:
        """The session stays open until all of them were read."""
        self._session, self._metrics = session, metrics
        self._place = {experiment_id: place for place, experiment_id in enumerate(experiment_ids)}
        self._ids, self._read = list(experiment_ids), dict[str, dict[tuple[str, str], tuple[bytes, bytes]]]()
        self._known: dict[tuple[bytes, tuple[int, ...] | None], _Which] = {}

    def read(self, experiment_id: str, epochs: Sequence[int] | None) -> Curves:
        """Those of one experiment, at these epochs, or at all."""
        if experiment_id not in self._read:
            self._fetch(experiment_id)
        if not (pieces := self._read.pop(experiment_id)):
            return of_rows(self._session, experiment_id, self._metrics, epochs)
        wanted = None if epochs is None else tuple(epochs)
        return {key: self._curve(*piece, wanted) for key, piece in pieces.items()}

    def _fetch(self, experiment_id: str) -> None:
        start = self._place[experiment_id]
        group = self._ids[start : start + _RUNS]
        self._read |= {each: {} for each in group}
        columns = (MetricCurve.experiment_id, MetricCurve.name, MetricCurve.split, MetricCurve.epochs)
        query = select(*columns, MetricCurve.values).where(MetricCurve.experiment_id.in_(group))
        rows = self._session.connection().execute(query.where(MetricCurve.name.in_(self._metrics))).cursor
        for of_it, name, split, at, values in rows.fetchall() if rows else ():
            self._read[of_it][name, split] = at, values

    def _curve(self, at: bytes, values: bytes, wanted: tuple[int, ...] | None) -> Curve:
        # Most curves have the same epochs: they are unpacked and looked for once.
        if (at, wanted) not in self._known:
            self._known[at, wanted] = _which(np.frombuffer(at, _EPOCHS).astype(np.int64), wanted)
        epochs_E, rows_E = self._known[at, wanted]
        values_E = np.frombuffer(values, _VALUES)
        return Curve(epochs_E, values_E if rows_E is None else values_E[rows_E])


def _which(epochs_E: NDArray[np.int64], wanted: Collection[int] | None) -> _Which:
    if wanted is None:
        return epochs_E, None
    rows_E = np.flatnonzero(np.isin(epochs_E, np.fromiter(wanted, np.int64)))
    return epochs_E[rows_E], rows_E
