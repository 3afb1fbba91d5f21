"""Files that are made while they are sent: whole or in parts (RFC 9110: ETag, If-None-Match, Range, If-Range)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from starlette.responses import StreamingResponse

from api import problems
from ncmix.jobs.files import File

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.IGNORECASE)

HEADERS = {
    "ETag": {"description": "Made of the SHA-256 of the data", "required": True, "schema": {"type": "string"}},
    "Accept-Ranges": {"description": "bytes, or none", "required": True, "schema": {"type": "string"}},
    "Content-Disposition": {"description": "What the file is called", "required": True, "schema": {"type": "string"}},
}


@dataclass(frozen=True)
class Download:
    """A file, what it is called, its media type, and a strong validator: it changes when a byte of the file would."""

    file: File
    name: str
    media_type: str
    tag: str


def described(media_types: dict[str, dict[str, Any]], description: str) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of the answers with such a file."""
    content = {media: {"schema": schema} for media, schema in media_types.items()}
    return {
        200: {"description": description, "content": content, "headers": HEADERS},
        206: {"description": "The part named in Range.", "content": content, "headers": HEADERS},
        304: {"description": "It is the one named in If-None-Match."},
    }


def matches(if_none_match: str, tag: str) -> bool:
    """Whether the client has the file of this tag, as it says in If-None-Match."""
    tags = {word.strip().removeprefix("W/") for word in if_none_match.split(",")}
    return bool(tags & {tag, "*"})


def answer(request: Request, download: Download) -> Response:
    """The file or the part of it that was asked for, unless the client has it already.

    What goes wrong while it is sent breaks the connection: a client never takes a part for the whole.

    Raises:
        ProblemError: 416.
    """
    size = download.file.size
    headers = {
        "ETag": download.tag,
        "Cache-Control": "no-cache",
        "Accept-Ranges": "none" if size is None else "bytes",
        "Content-Disposition": f'attachment; filename="{download.name}"',
    }
    if matches(request.headers.get("if-none-match", ""), download.tag):
        return Response(status_code=304, headers=headers)
    if size is None:
        return _send(request, download, headers, 200, 0, None)
    part = _asked_for(request, download.tag, size)
    if part is None:
        return _send(request, download, headers | {"Content-Length": str(size)}, 200, 0, size)
    first, last = part
    of_part = {"Content-Length": str(last - first), "Content-Range": f"bytes {first}-{last - 1}/{size}"}
    return _send(request, download, headers | of_part, 206, first, last)


def _send(
    request: Request, download: Download, headers: dict[str, str], status: int, first: int, last: int | None
) -> Response:
    if request.method == "HEAD":
        return StreamingResponse(iter(()), status, headers, download.media_type)
    return StreamingResponse(_pieces(download.file, first, last), status, headers, download.media_type)


def _pieces(file: File, first: int, last: int | None) -> Iterator[bytes]:
    # Not longer than a writer needs: the server holds what the network has not taken yet.
    for piece in file.read(first, last):
        view = memoryview(piece)
        yield from (bytes(view[at : at + _PIECE]) for at in range(0, len(view), _PIECE))


_PIECE = 2**20


def _asked_for(request: Request, tag: str, size: int) -> tuple[int, int] | None:
    """The first byte of the part in the header Range and the one behind its last; None for the whole file.

    A header that cannot be read is ignored, as RFC 9110 has it, and so are several ranges at once.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if request.method != "GET" or match is None or match.groups() == ("", ""):
        return None
    if request.headers.get("if-range", tag) != tag:
        return None
    start, stop = match.groups()
    if not start:
        first, last = max(0, size - int(stop)), size
    else:
        first, last = int(start), min(int(stop) + 1, size) if stop else size
    if stop and start and int(stop) < int(start):
        return None
    if first >= last:
        detail = f"Range is {request.headers['range']!r}, but the file has {size} bytes."
        raise problems.ProblemError(
            problems.problem(416, "range-not-satisfiable", detail), {"Content-Range": f"bytes */{size}"}
        )
    return first, last
