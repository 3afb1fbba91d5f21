"""Knows who holds which key: from the record, and for a moment from memory, so that most requests need not ask it."""

import hashlib
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass

from sqlalchemy import select

from ncmix.jobs import keys
from ncmix.jobs.database import Database, now
from ncmix.jobs.scopes import Scope
from ncmix.jobs.service_tables import ApiKey

# How long a revoked key may still be taken, and how long a service without keys goes on as one.
FRESH_SECONDS = 1.0
_MOST_REMEMBERED = 1024


@dataclass(frozen=True)
class Visitor:
    """Who asks: the holder of a key, and what it may do."""

    key_id: str
    name: str
    scope: Scope


@dataclass(frozen=True)
class _Known:
    """A text that did fit, and when its row was last looked at."""

    visitor: Visitor
    at: float


class Guard:
    """Says whose key a text is. Texts that fitted are remembered by their SHA-256: Argon2 is computed once for each."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._locked, self._asked = False, float("-inf")

    def asks(self) -> bool | None:
        """Whether a key is asked for, if that is known without the record."""
        if self._locked:
            return True
        return False if time.monotonic() < self._asked + FRESH_SECONDS else None

    def look(self) -> bool:
        """Whether a key is asked for: as soon as there ever was one.

        Raises:
            DBAPIError: the record does not answer; then nobody is let in.
        """
        with self._database.reading() as session:
            self._locked = keys.any_made(session)
        self._asked = time.monotonic()
        return self._locked

    def remember(self, text: str) -> Visitor | None:
        """Whose key it is, if that was found out a moment ago."""
        known = self._known.get(_digest(text))
        return known.visitor if known and time.monotonic() < known.at + FRESH_SECONDS else None

    def identify(self, text: str) -> Visitor | None:
        """Whose key it is; None if it is nobody's, or has ended.

        Raises:
            DBAPIError: the record does not answer.
        """
        digest, at = _digest(text), time.monotonic()
        with self._database.reading() as session:
            key, instant = keys.find(session, text), session.scalars(select(now())).one()
        if key is None or not (digest in self._known or keys.fits(key, text)):
            with self._lock:
                self._known.pop(digest, None)
            return None
        if keys.stale(key, instant):
            with self._database.transaction() as session:
                keys.was_used(session, key.id)
        return self._keep(digest, _Known(_visitor(key), at))

    def _keep(self, digest: bytes, known: _Known) -> Visitor:
        with self._lock:
            self._known[digest] = known
            self._known.move_to_end(digest)
            while len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return known.visitor


def _visitor(key: ApiKey) -> Visitor:
    return Visitor(key.id, key.name, key.scope)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
