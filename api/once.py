"""Requests that change something: done in one transaction, and only once under an Idempotency-Key."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from ncmix.jobs import idempotency
from ncmix.jobs.database import Database
from ncmix.jobs.idempotency import Answer

Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Any word of yours, such as a UUID. The same request under the same key is done once and answered "
        "the same way for a day.",
    ),
]


@dataclass(frozen=True)
class Reply:
    """What an endpoint answers: the status, the body, and the address of what was made."""

    status: int
    shown: BaseModel
    location: str | None = None


@dataclass(frozen=True)
class Once:
    """The key of a request, if it has one, and what identifies the request."""

    key: str | None
    request: str

    def answer(self, database: Database, work: Callable[[Session], Reply]) -> Response:
        """Do the work in a transaction and answer; under a key that was answered, that answer without the work.

        Raises:
            KeyReusedError: the key was used for another request.
            InFlightError: the first request with the key is still at work.
        """
        with database.transaction() as session:
            kept = idempotency.recall(session, self.key, self.request) if self.key else None
            if kept is not None:
                return _response(kept, replayed=True)
            reply = work(session)
            answer = Answer(reply.status, reply.location, reply.shown.model_dump_json())
            if self.key:
                idempotency.keep(session, self.key, answer)
        return _response(answer, replayed=False)


async def _once(request: Request, key: Key = None) -> Once:
    # The body is all there before the work begins: a slow sender holds no transaction open.
    body = await request.body()
    target = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    return Once(key, hashlib.sha256(target + body).hexdigest())


# As a parameter of an endpoint.
OnlyOnce = Annotated[Once, Depends(_once)]


def _response(answer: Answer, *, replayed: bool) -> Response:
    headers = {"Location": answer.location} if answer.location else {}
    if replayed:
        headers["Idempotency-Replayed"] = "true"
    return Response(answer.body, answer.status, headers, "application/json")
