"""Readers of streams for tests, and the application on a real uvicorn in a thread of this process."""

import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import uvicorn

from api.__main__ import Server
from api.app import create
from api.context import Context
from ncmix.jobs.settings import Settings
from tests.servers import free_port, wait_for


@dataclass(frozen=True)
class Message:
    """One event of a stream."""

    event: str
    data: Any
    id: str


async def messages(url: str, client: httpx2.AsyncClient, last: str | None = None) -> AsyncIterator[Message | str]:
    """What a stream sends, comments as plain strings, until it is closed."""
    headers = {"Last-Event-ID": last} if last else {}
    fields: dict[str, str] = {}
    async with client.stream("GET", url, headers=headers) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        async for line in answer.aiter_lines():
            if line.startswith(":"):
                yield line[1:].strip()
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif "event" in fields:
                yield Message(fields["event"], json.loads(fields["data"]), fields["id"])
                fields = {}


async def read(url: str, client: httpx2.AsyncClient, last: str | None = None, most: int = 10**9) -> list[Message]:
    """The next events of a stream, at most so many; then the connection is closed."""
    found: list[Message] = []
    async for message in messages(url, client, last):
        if isinstance(message, Message):
            found.append(message)
        if len(found) == most:
            break
    return found


def epochs(found: list[Message]) -> list[int]:
    """The epochs of which metrics came, in order, each as often as it came."""
    return [e for m in found if m.event == "metrics" for e in sorted({i["epoch"] for i in m.data["items"]})]


def text(found: list[Message]) -> str:
    """The log, put together; each piece has to begin where the one before ended."""
    pieces = [m.data for m in found if m.event == "log"]
    ends = [p["offset"] + len(p["text"].encode()) for p in pieces]
    assert [p["offset"] for p in pieces][1:] == ends[:-1]
    return "".join(p["text"] for p in pieces)


@dataclass(frozen=True)
class Running:
    """The application as it serves: its address, its inside, and a means to stop it as a signal does."""

    url: str
    server: Server

    @property
    def context(self) -> Context:
        """What its requests use."""
        return self.server.config.app.state.context  # type: ignore[union-attr]


@contextmanager
def serving(settings: Settings) -> Iterator[Running]:
    """The application on a real uvicorn."""
    port = free_port()
    server = Server(uvicorn.Config(create(settings), port=port, log_config=None, timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_for(lambda: server.started, "The start")
        yield Running(f"http://127.0.0.1:{port}/api/v1/experiments", server)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
