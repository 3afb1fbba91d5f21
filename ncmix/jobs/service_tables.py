"""What is on record beside experiments: answers to be given again, duties of one process, keys."""

from sqlalchemy import CheckConstraint, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from ncmix.jobs.scopes import SCOPES, Scope
from ncmix.jobs.tables import Base


class Idempotency(Base):
    """What a POST was answered under a key that its sender chose, so that the same request is answered the same way.

    `request` is the SHA-256 of method, address and body; `body` is JSON. Without a `status` it is not answered yet,
    which only its own transaction sees.
    """

    __tablename__ = "idempotency"
    __table_args__ = (Index("ix_idempotency_created", "created"),)

    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))
    created: Mapped[float]
    status: Mapped[int | None]
    location: Mapped[str | None] = mapped_column(String(200))
    body: Mapped[str | None] = mapped_column(Text)


class Duty(Base):
    """Something that one process at a time shall do: who does it, and until when nobody else may."""

    __tablename__ = "duty"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    until: Mapped[float]


class ApiKey(Base):
    """Who may use the service, and for what. The secret itself is nowhere: `digest` is its Argon2id hash.

    `expires` and `revoked` end it, whichever comes first; a row stays for as long as anybody may ask whose key it was.
    `used` is when it was last seen, to a minute.
    """

    __tablename__ = "api_key"
    __table_args__ = (CheckConstraint(f"scope IN ({', '.join(map(repr, SCOPES))})", name="scope"),)

    id: Mapped[str] = mapped_column(String(12), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    scope: Mapped[Scope] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(200))
    created: Mapped[float]
    expires: Mapped[float | None]
    used: Mapped[float | None]
    revoked: Mapped[float | None]
