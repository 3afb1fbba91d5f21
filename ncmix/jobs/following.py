"""What is new on record of an experiment since a reader last looked: what a stream of it is made of.

Where a reader is, is told by the data it has seen, so that it can go on anywhere: at another process, days later.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs import queries
from ncmix.jobs.states import FINAL
from ncmix.jobs.tables import Event, Experiment, MetricValue
from ncmix.results import MetricRow

# What a place in a stream looks like.
PATTERN = r"^[0-9]{1,15}\.[0-9]{1,15}\.[0-9]{1,15}$"
# So much at a time of a long history: no reader makes the service hold all of it in memory.
EVENTS_AT_ONCE, LOG_BYTES_AT_ONCE = 100, 64 * 2**10

# What tells whether there is anything new: revision, step and length of the log.
Head = tuple[int, int, int]


class FollowError(NcmixError, ValueError):
    """A place in a stream is none of ours; the message is a sentence without its full stop."""


@dataclass(frozen=True)
class Cursor:
    """What a reader has seen: everything up to event number `event`, `step` of the epoch under way, `log` bytes."""

    event: int = 0
    step: int = 0
    log: int = 0

    def __str__(self) -> str:
        return f"{self.event}.{self.step}.{self.log}"

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """The cursor that was written so.

        Raises:
            FollowError: it was not.
        """
        if not re.fullmatch(PATTERN, text):
            raise FollowError(f"{text!r} is no place in a stream; allowed is the id of one of its events")
        return cls(*map(int, text.split(".")))


@dataclass(frozen=True)
class Epochs:
    """Metrics of epochs that are new. `last` is the last epoch on record with them: whatever a reader has of later
    ones is void, because an attempt went on from an earlier checkpoint.
    """

    last: int
    rows: list[MetricRow]


@dataclass(frozen=True)
class Output:
    """Some of the log, from byte `offset` up to `end`."""

    offset: int
    text: str
    end: int


@dataclass(frozen=True)
class News:
    """What is new behind `before`; a reader that has it is at `after`, and `more` says that there is more already.

    `experiment` is shown only if `changed`: then it is as it is now. `ended` says that nothing will follow.
    """

    experiment: Experiment
    before: Cursor
    after: Cursor
    changed: bool
    epochs: Epochs | None
    output: Output | None
    more: bool

    @property
    def ended(self) -> bool:
        """Whether this was the last there is to say."""
        return self.experiment.state in FINAL and not self.more


def heads(session: Session, ids: Collection[str]) -> dict[str, Head]:
    """Of each of these experiments what changes when there is something new; those that are gone are left out."""
    columns = (Experiment.id, Experiment.revision, Experiment.step, Experiment.log_bytes)
    found = session.execute(select(*columns).where(Experiment.id.in_(ids)))
    return {row.id: (row.revision, row.step, row.log_bytes) for row in found}


def news(session: Session, experiment_id: str, cursor: Cursor) -> News:
    """What came behind a cursor, or the first part of it; all of it of one instant.

    Raises:
        UnknownExperimentError: there is none of this id.
    """
    experiment = queries.get(session, experiment_id)
    newest = session.scalar(select(func.max(Event.id)).where(Event.experiment_id == experiment_id)) or 0
    if cursor.event > newest or cursor.log > experiment.log_bytes:
        # Of a record that is no more: the database was restored from a backup.
        cursor = Cursor()
    events = queries.events(session, experiment_id, cursor.event, EVENTS_AT_ONCE)
    event = events[-1].id if events else cursor.event
    part = queries.log(session, experiment_id, cursor.log, LOG_BYTES_AT_ONCE)
    output = _output(part)
    at_newest = event == newest
    return News(
        experiment=experiment,
        before=cursor,
        after=Cursor(event, experiment.step if at_newest else cursor.step, output.end if output else cursor.log),
        changed=at_newest and (cursor.event, cursor.step) != (newest, experiment.step),
        epochs=_epochs(session, experiment, events),
        output=output,
        more=not at_newest or part.next_offset < experiment.log_bytes,
    )


def _epochs(session: Session, experiment: Experiment, events: Sequence[Event]) -> Epochs | None:
    """The metrics of the epochs that these events put on record, without those that a later one of them dropped."""
    new: set[int] = set()
    last = -1
    for event in events:
        if event.kind == "epoch":
            last = event.data["epoch"]
            new = {e for e in new if e < last} | {last}
        elif event.kind == "resumed" and "step" in event.data:  # by a child; by a user there is no step
            last = event.data["epoch"]
            taken_over = range(last + 1) if _from_parent(experiment, event) else ()
            new = {e for e in new if e <= last} | {*taken_over}
        elif event.kind == "started" and event.fence > 1:
            new, last = set(), 0
    if last < 0:
        return None
    columns = (MetricValue.epoch, MetricValue.split, MetricValue.name, MetricValue.value, MetricValue.note)
    query = select(*columns).where(MetricValue.experiment_id == experiment.id, MetricValue.epoch.in_(new))
    ordered = query.order_by(MetricValue.epoch, MetricValue.split, MetricValue.name)
    return Epochs(last, [MetricRow(*row) for row in session.execute(ordered)])


def _from_parent(experiment: Experiment, event: Event) -> bool:
    """Whether an attempt went on from the end of the run that this one extends, and so took over its metrics."""
    extends = experiment.spec.get("extends")
    return bool(extends) and (event.data["epoch"], event.data["step"]) == (extends["epochs"], 0)


def _output(part: queries.LogPart) -> Output | None:
    data = part.data if part.ended else _whole_characters(part.data)
    return Output(part.offset, data.decode("utf-8", "replace"), part.offset + len(data)) if data else None


def _whole_characters(data: bytes) -> bytes:
    """Without the beginning of a character of which the rest is not there yet."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte >= 0xC0:  # the first byte of a character of two to four
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return data if back >= length else data[:-back]
        if byte < 0x80:
            return data
    return data
