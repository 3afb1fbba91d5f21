"""A file in the body of a request: taken to the disk piece by piece, and refused when it is too large."""

import tempfile
from collections.abc import AsyncIterator
from typing import IO, Annotated

from fastapi import Depends, Request
from starlette.concurrency import run_in_threadpool

from api import problems
from ncmix.jobs.settings import Settings

_TYPES = ("application/zip", "application/octet-stream")


async def _file(request: Request) -> AsyncIterator[IO[bytes]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in _TYPES:
        detail = f"The content type is {kind!r}; allowed are {' and '.join(_TYPES)}."
        raise problems.ProblemError(problems.problem(415, "unsupported-media-type", detail))
    settings: Settings = request.app.state.settings
    length = request.headers.get("content-length", "")
    if length.isdigit() and int(length) > settings.import_limit:
        raise _too_large(settings.import_limit)
    with tempfile.TemporaryFile(prefix="ncmix-") as file:
        async for piece in request.stream():
            if file.tell() + len(piece) > settings.import_limit:
                raise _too_large(settings.import_limit)
            await run_in_threadpool(file.write, piece)
        file.seek(0)
        yield file


def _too_large(limit: int) -> problems.ProblemError:
    detail = f"The file is too large; allowed are {limit:,} bytes (NCMIX_IMPORT_LIMIT)."
    return problems.ProblemError(problems.problem(413, "too-large", detail))


# The file in the body of a request, as a parameter of an endpoint; it is gone when the request ends.
PostedFile = Annotated[IO[bytes], Depends(_file)]
