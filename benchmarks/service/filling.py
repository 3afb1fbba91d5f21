"""Fills our record, past the API: one experiment made as always, and copies of its rows made by the database."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import insert, literal, select, text, true
from sqlalchemy.orm import Session

from benchmarks.service import corpus
from ncmix.jobs import lifecycle, recording
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease
from ncmix.jobs.tables import Experiment, MetricValue

_AT_ONCE = 1000
_MIXES = ("none", "mixup", "cutmix")


def claimed(database: Database, settings: Settings, seed: int) -> Lease:
    """An experiment that is running, submitted and claimed as always."""
    with database.transaction() as session:
        lifecycle.submit(session, corpus.spec(seed), "gpu")
    with database.transaction() as session:
        claim = lifecycle.claim(session, ["gpu"], "benchmark:1", settings)
    if claim is None:
        raise RuntimeError("What was submitted cannot be claimed.")
    return claim.lease


def fill(database: Database, settings: Settings, experiments: int, metrics: int) -> list[str]:
    """Put so many finished experiments on record, each with the first `metrics` rows of one epoch; gives their ids.

    The last corpus.LONG of them have been measured in corpus.LONG_EPOCHS epochs.
    """
    lease = claimed(database, settings, seed=0)
    for epoch in range(1, corpus.LONG_EPOCHS + 1):
        recording.record(database, lease, corpus.snapshot(epoch))
    with database.transaction() as session:
        lifecycle.finish(session, lease)
        if database.engine.dialect.name == "postgresql":
            # Ten million look-ups of a row that is known to be there.
            session.execute(text("SET LOCAL session_replication_role = replica"))
        ids = _copies(session, lease.experiment_id, experiments - 1)
        _copy_metrics(session, lease.experiment_id, ids[: -corpus.LONG], 1, metrics)
        _copy_metrics(session, lease.experiment_id, ids[-corpus.LONG :], corpus.LONG_EPOCHS, metrics)
    _analyse(database)
    return ids


def _copies(session: Session, experiment_id: str, count: int) -> list[str]:
    table = Experiment.__table__
    row = dict(session.execute(select(table).where(table.c.id == experiment_id)).mappings().one())
    rows = list(_numbered(row, count))
    for at in range(0, count, _AT_ONCE):
        session.execute(insert(Experiment), rows[at : at + _AT_ONCE])
    return [copy["id"] for copy in rows]


def _numbered(row: dict[str, Any], count: int) -> Iterator[dict[str, Any]]:
    """Older than what is submitted later: new experiments come first in every list."""
    for number in range(1, count + 1):
        own = {"id": f"{number:020x}", "key": f"{number:064x}", "created": row["created"] - 10.0 * (count - number)}
        yield {**row, **own, "mix": _MIXES[number % len(_MIXES)]}


def _copy_metrics(session: Session, experiment_id: str, ids: list[str], epochs: int, most: int) -> None:
    """By the database itself, in the order of the key."""
    split_and_name = (MetricValue.split, MetricValue.name)
    kept = session.execute(
        select(*split_and_name)
        .where(MetricValue.experiment_id == experiment_id, MetricValue.epoch == 1)
        .order_by(*split_and_name)
        .limit(most)
    ).all()
    last_split, last_name = kept[-1]
    source = select(MetricValue.epoch, *split_and_name, MetricValue.value).where(
        MetricValue.experiment_id == experiment_id,
        MetricValue.epoch <= epochs,
        (MetricValue.split < last_split) | ((MetricValue.split == last_split) & (MetricValue.name <= last_name)),
    )
    rows = source.subquery()
    made = (
        select(Experiment.id, *rows.c, literal(""))
        .join(rows, true())
        .where(Experiment.id.between(ids[0], ids[-1]))
        .order_by(Experiment.id, rows.c.epoch, rows.c.split, rows.c.name)
    )
    columns = ["experiment_id", "epoch", "split", "name", "value", "note"]
    session.execute(insert(MetricValue).from_select(columns, made))


def _analyse(database: Database) -> None:
    """So that the database plans by what is there, as it does by itself after a while."""
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
