"""The same request twice is done once: its answer is kept under a key that the sender chose, and given again.

The row is written in the transaction of the work itself. So it is there if and only if the work was done, and of two
requests at once the second waits for the first.
"""

from dataclasses import dataclass

from psycopg.errors import LockNotAvailable
from sqlalchemy import delete, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs.database import now
from ncmix.jobs.service_tables import Idempotency

KEPT_SECONDS = 24 * 3600.0
_WAIT_MILLISECONDS = 3000


class KeyReusedError(NcmixError, ValueError):
    """The key was used for another request; the message is a sentence."""

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The Idempotency-Key {key!r} was used for another request; allowed is the same again, or a new key."
        )


class InFlightError(NcmixError, RuntimeError):
    """The first request with this key is still at work; the message is a sentence."""

    def __init__(self, key: str) -> None:
        super().__init__(f"The first request with the Idempotency-Key {key!r} is still at work; ask again in a second.")


@dataclass(frozen=True)
class Answer:
    """What a request was answered: the status, the address of what it made, and the body as JSON."""

    status: int
    location: str | None
    body: str


def recall(session: Session, key: str, request: str) -> Answer | None:
    """The answer kept under this key; None if there is none: then the key is taken, and `keep` must follow.

    Args:
        session: in the transaction that does the work.
        key: what the sender chose.
        request: what identifies the request, as SHA-256.

    Raises:
        KeyReusedError: the key belongs to another request.
        InFlightError: another transaction has taken it and takes its time.
    """
    if _take(session, key, request):
        return None
    kept = session.get_one(Idempotency, key)
    if kept.request != request:
        raise KeyReusedError(key)
    if kept.status is None or kept.body is None:
        raise InFlightError(key)
    return Answer(kept.status, kept.location, kept.body)


def keep(session: Session, key: str, answer: Answer) -> None:
    """Keep the answer under the key that this transaction has taken."""
    values = {"status": answer.status, "location": answer.location, "body": answer.body}
    session.execute(update(Idempotency).where(Idempotency.key == key).values(**values))


def forget(session: Session) -> None:
    """Remove answers that nobody will ask for any more."""
    session.execute(delete(Idempotency).where(Idempotency.created < now() - KEPT_SECONDS))


def _take(session: Session, key: str, request: str) -> bool:
    """Insert the key; PostgreSQL waits here for another transaction that has inserted it, SQLite already did."""
    on_postgres = session.get_bind().dialect.name == "postgresql"
    insert = (postgresql if on_postgres else sqlite).insert(Idempotency)
    row = insert.values(key=key, request=request, created=now()).on_conflict_do_nothing().returning(Idempotency.key)
    if not on_postgres:
        return session.scalar(row) is not None
    session.execute(text(f"SET LOCAL lock_timeout = {_WAIT_MILLISECONDS}"))
    try:
        taken = session.scalar(row) is not None
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise InFlightError(key) from error
        raise
    session.execute(text("SET LOCAL lock_timeout = DEFAULT"))
    return taken
