"""Experiments whose large fields stay the JSON that the database holds: what is asked for most is only passed on."""

from dataclasses import dataclass

from sqlalchemy import Text, bindparam, cast, select
from sqlalchemy.orm import Session, defer

from ncmix.jobs import queries
from ncmix.jobs.queries import Filters, Page
from ncmix.jobs.states import UnknownExperimentError
from ncmix.jobs.tables import Experiment

# Reading and writing JSON anew would take most of the time of a list.
_AS_STORED = select(Experiment, cast(Experiment.spec, Text), cast(Experiment.latest, Text)).options(
    defer(Experiment.spec, raiseload=True), defer(Experiment.latest, raiseload=True)
)
# Made once: SQLAlchemy recognizes it without looking through it.
_ONE = _AS_STORED.where(Experiment.id == bindparam("sought"))


@dataclass(frozen=True)
class Stored:
    """An experiment whose large fields are the JSON that the database holds; in the row itself they are not loaded."""

    row: Experiment
    spec: str
    latest: str


def one(session: Session, experiment_id: str) -> Stored:
    """The experiment of this id, to be shown as JSON.

    Raises:
        UnknownExperimentError: there is none.
    """
    found = session.execute(_ONE, {"sought": experiment_id}).one_or_none()
    if found is None:
        raise UnknownExperimentError(experiment_id)
    return Stored(*found)


def page(session: Session, filters: Filters, limit: int, cursor: str | None, *, oldest_first: bool) -> Page[Stored]:
    """The page of experiments that `queries.listing` gives.

    Raises:
        CursorError: the cursor is none of ours.
    """
    query = queries.paged(queries.filtered(_AS_STORED, filters), limit, cursor, oldest_first)
    found = [Stored(*row) for row in session.execute(query)]
    return Page(found[:limit], queries.next_cursor([each.row for each in found], limit))
