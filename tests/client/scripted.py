"""A server that says what a test wrote down and remembers what it was asked, for answers that no real service gives."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

RUNNING: dict[str, Any] = {
    "id": "0" * 20,
    "title": "toy",
    "state": "running",
    "queue": "cpu",
    "spec": {},
    "key": "",
    "parent": None,
    "tags": [],
    "priority": 0,
    "created_at": "2026-01-01T12:00:00Z",
    "started_at": None,
    "finished_at": None,
    "attempt": 1,
    "epoch": 1,
    "epochs": 2,
    "step": 0,
    "steps": 0,
    "progress": 0.5,
    "eta_seconds": None,
    "latest": {"train": {"nc1": 0.5}},
    "reason": None,
    "links": {},
}
ENDED = {**RUNNING, "state": "succeeded", "epoch": 2, "progress": 1.0}


@dataclass(frozen=True)
class Answer:
    """What is sent; with `cut` the connection is closed before any answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    cut: bool = False


def events(*messages: tuple[str, Any, str]) -> Answer:
    """A stream of kinds, data and ids, which then breaks off."""
    text = "".join(f"event: {kind}\ndata: {json.dumps(data)}\nid: {place}\n\n" for kind, data, place in messages)
    return Answer(body=text, headers={"Content-Type": "text/event-stream"})


@dataclass(frozen=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, str]


@dataclass
class Scripted:
    """Where the server is, what it has still to say, and what it was asked."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)


@contextmanager
def scripted() -> Iterator[Scripted]:
    """The server, until the block is left."""

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            script.asked.append(Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
            answer = script.answers.pop(0)
            if answer.cut:
                return
            body = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            self.send_response(answer.status)
            headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **answer.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body.encode())

        do_GET = do_POST = do_DELETE = answer

        def log_message(self, *_: object) -> None:
            """Nothing: a test looks at `asked`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script = Scripted(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
