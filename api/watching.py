"""Looks after everybody who follows an experiment: one question a beat for all of them, one read for all at one place.

Nobody holds a thread or a connection to the database while waiting, so many can watch.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi.sse import ServerSentEvent
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from ncmix.jobs import following
from ncmix.jobs.database import Database
from ncmix.jobs.following import Cursor, Head

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Part:
    """Messages of what is new behind a cursor, where they lead, and whether more is there already or none will come."""

    messages: Sequence[ServerSentEvent]
    after: Cursor
    more: bool = False
    ended: bool = False


Read = Callable[[str, Cursor], Part]


class Feed:
    """One experiment that is followed. Those who are at the same place in it share what is read for them."""

    def __init__(self, experiment_id: str, read: Read) -> None:
        self.id = experiment_id
        self.viewers = 0
        self.closing = False
        self.changed = asyncio.Event()
        self._read = read
        self._head: Head | None = None
        self._known = False
        self._shared: dict[Cursor, asyncio.Task[Part]] = {}

    def see(self, head: Head | None) -> None:
        """Take notice of what is on record now, None if nothing is any more; wakes the viewers if that is new."""
        if not self._known or head != self._head:
            self._head, self._known = head, True
            self.wake()

    def wake(self) -> None:
        """Let every viewer look again."""
        self._shared.clear()
        woken, self.changed = self.changed, asyncio.Event()
        woken.set()

    async def parts(self, cursor: Cursor) -> AsyncIterator[Part]:
        """All that is new behind a cursor, as it comes, to the end of the experiment or of this process."""
        while not self.closing:
            # Taken before reading: what changes meanwhile wakes at once.
            changed = self.changed
            part = await self._part(cursor)
            yield part
            if part.ended:
                return
            cursor = part.after
            if not part.more:
                await changed.wait()

    async def _part(self, cursor: Cursor) -> Part:
        if (task := self._shared.get(cursor)) is None:
            task = asyncio.create_task(asyncio.to_thread(self._read, self.id, cursor))
            self._shared[cursor] = task
        try:
            # Shielded: others wait for it, too.
            return await asyncio.shield(task)
        except (DBAPIError, PoolTimeoutError) as error:
            if self._known:
                _LOG.warning("experiment %s cannot be read for those who follow it: %s", self.id, error)
            # So the next beat that succeeds wakes everybody.
            self._known = False
            return Part((), cursor)


class Watch:
    """Every experiment that somebody follows now. Belongs to the event loop."""

    def __init__(self, database: Database, seconds: float) -> None:
        self._database, self._seconds = database, seconds
        self._feeds: dict[str, Feed] = {}
        self._ending = asyncio.Event()

    @asynccontextmanager
    async def viewing(self, experiment_id: str, read: Read) -> AsyncIterator[Feed]:
        """The feed of an experiment, for as long as the block lasts."""
        feed = self._feeds.setdefault(experiment_id, Feed(experiment_id, read))
        feed.viewers += 1
        feed.closing = self._ending.is_set()
        try:
            yield feed
        finally:
            feed.viewers -= 1
            if not feed.viewers:
                self._feeds.pop(experiment_id, None)

    async def run(self) -> None:
        """Look at the record, beat by beat, until `end`."""
        while not self._ending.is_set():
            if self._feeds:
                await self._beat()
            try:
                await asyncio.wait_for(self._ending.wait(), self._seconds)
            except TimeoutError:
                continue

    def end(self) -> None:
        """Let every viewer go: they come again, to the next process."""
        self._ending.set()
        for feed in self._feeds.values():
            feed.closing = True
            feed.wake()

    async def _beat(self) -> None:
        try:
            found = await asyncio.to_thread(self._look, list(self._feeds))
        except (DBAPIError, PoolTimeoutError):
            return  # Who reads says so.
        for feed in list(self._feeds.values()):
            feed.see(found.get(feed.id))

    def _look(self, ids: Sequence[str]) -> dict[str, Head]:
        with self._database.reading() as session:
            return following.heads(session, ids)
