"""API keys: made, found again, replaced and taken back. A key is shown once; what is kept is its hash.

ncmix_4f1c07d1e9a3_5b0e…        `ncmix_`, the id of its row, 256 random bits in hexadecimal
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs.database import now
from ncmix.jobs.scopes import Scope
from ncmix.jobs.service_tables import ApiKey

_FORM = re.compile(r"ncmix_([0-9a-f]{12})_([0-9a-f]{64})")
_NAME = re.compile(r"[\w .:@+-]{1,64}")
_USED_SECONDS = 60.0
# OWASP's least for Argon2id: 19 MiB and some 20 ms. No guessing finds 256 random bits anyway; a larger figure would
# only help those who send wrong keys to exhaust the machine.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class KeyUnknownError(NcmixError, LookupError):
    """There is no such key, or none that can be used; the message is a sentence."""


class KeyNameError(NcmixError, ValueError):
    """A key cannot be called so; the message is a sentence."""


@dataclass(frozen=True)
class Issued:
    """A new key: its row, and the only copy of its text that will ever be shown."""

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"Issued({self.key.id})"


def issue(session: Session, name: str, scope: Scope, days: float | None = None) -> Issued:
    """Make a key; without `days` it never ends by itself.

    Raises:
        KeyNameError: the name is empty, too long, or holds characters that names do not have.
    """
    if not _NAME.fullmatch(name):
        raise KeyNameError(f"{name!r} is no name of a key; allowed are 1 to 64 letters, digits, spaces and .:@+-_")
    key_id, secret = secrets.token_hex(6), secrets.token_hex(32)
    instant = _instant(session)
    key = ApiKey(
        id=key_id,
        name=name,
        scope=scope,
        digest=_HASHER.hash(secret),
        created=instant,
        expires=None if days is None else instant + days * 86400,
    )
    session.add(key)
    session.flush()
    return Issued(key, f"ncmix_{key_id}_{secret}")


def rotate(session: Session, key_id: str, hours: float = 24.0) -> Issued:
    """A new key in the place of one that can still be used; the old one ends in so many hours.

    The new one lives as long as the old one was meant to when it was made.

    Raises:
        KeyUnknownError: there is no such key, or it has ended.
    """
    old = get(session, key_id)
    instant = _instant(session)
    if not usable(old, instant):
        raise KeyUnknownError(f"The key {key_id} has ended: make a new one.")
    days = None if old.expires is None else (old.expires - old.created) / 86400
    old.expires = min(old.expires or float("inf"), instant + hours * 3600)
    return issue(session, old.name, old.scope, days)


def revoke(session: Session, key_id: str) -> ApiKey:
    """End a key now; to do it again changes nothing.

    Raises:
        KeyUnknownError: there is no such key.
    """
    key = get(session, key_id)
    if key.revoked is None:
        key.revoked = _instant(session)
    return key


def get(session: Session, key_id: str) -> ApiKey:
    """The row of a key.

    Raises:
        KeyUnknownError: there is none.
    """
    key = session.get(ApiKey, key_id)
    if key is None:
        raise KeyUnknownError(f"There is no key {key_id!r}; ncmix keys ls lists them.")
    return key


def listing(session: Session) -> Sequence[ApiKey]:
    """Every key there ever was, oldest first."""
    return session.scalars(select(ApiKey).order_by(ApiKey.created, ApiKey.id)).all()


def any_made(session: Session) -> bool:
    """Whether there ever was a key. If so the service asks for one, also when all of them have ended."""
    return session.scalar(select(ApiKey.id).limit(1)) is not None


def find(session: Session, text: str) -> ApiKey | None:
    """The key that can be used and whose text begins like this one; whether the secret fits is for `fits` to say."""
    form = _FORM.fullmatch(text)
    row = session.execute(select(ApiKey, now()).where(ApiKey.id == form[1])).one_or_none() if form else None
    return row[0] if row and usable(row[0], row[1]) else None


def fits(key: ApiKey, text: str) -> bool:
    """Whether the text is that of the key; takes some 20 ms, as long for a wrong one."""
    form = _FORM.fullmatch(text)
    try:
        return form is not None and _HASHER.verify(key.digest, form[2])
    except VerifyMismatchError:
        return False


def usable(key: ApiKey, instant: float) -> bool:
    """Whether a key is neither revoked nor expired at an instant of the database's clock."""
    return key.revoked is None and (key.expires is None or instant < key.expires)


def was_used(session: Session, key_id: str) -> None:
    """Put down that a key is in use, unless that was done within the last minute."""
    long_ago = or_(ApiKey.used.is_(None), ApiKey.used < now() - _USED_SECONDS)
    session.execute(update(ApiKey).where(ApiKey.id == key_id, long_ago).values(used=now()))


def stale(key: ApiKey, instant: float) -> bool:
    """Whether `was_used` would write."""
    return key.used is None or key.used < instant - _USED_SECONDS


def _instant(session: Session) -> float:
    return session.scalars(select(now())).one()
