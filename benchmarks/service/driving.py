"""Many clients at once, each a thread with a connection of its own: requests a second, and how long they take."""

import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from itertools import count
from urllib.parse import urlsplit

Action = Callable[[int], object]
"""Does request number i."""

Client = Callable[[], AbstractContextManager[Action]]
"""Opens what one client needs, and closes it."""

_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Request:
    """What is asked of a server; a body is JSON."""

    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: _JSON)


@dataclass(frozen=True)
class Timing:
    """Requests a second, and the milliseconds that half of them, and 99 of 100, took at most."""

    rate: float
    p50: float
    p99: float


def http(url: str, make: Callable[[int], Request]) -> Client:
    """Clients that keep a connection open and read every answer to its end."""
    address = urlsplit(url).netloc

    @contextmanager
    def client() -> Iterator[Action]:
        with closing(HTTPConnection(address, timeout=60)) as connection:
            yield lambda number: _ask(connection, make(number))

    return client


def _ask(connection: HTTPConnection, request: Request) -> bytes:
    connection.request(request.method, request.path, request.body, dict(request.headers))
    # What comes is acknowledged at once: a server that sends in two pieces need not wait for it (Nagle).
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
    answer = connection.getresponse()
    body = answer.read()
    if answer.status >= 300:
        raise RuntimeError(f"{request.method} {request.path} gave {answer.status}: {body[:300]!r}")
    return body


def drive(client: Client, seconds: float, clients: int, rate: float | None = None) -> Timing:
    """Let so many clients work for so long.

    With a rate, request i is due i/rate seconds after the start and its time counts from then, whether a client was
    free or not; without, each client asks again as soon as it has its answer.

    Raises:
        RuntimeError: a request failed.
    """
    driving = _Driving(seconds, rate)
    threads = [threading.Thread(target=driving.work, args=(client,)) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return driving.timing()


class _Driving:
    def __init__(self, seconds: float, rate: float | None) -> None:
        self._numbers, self._paced, self._rate = count(), count(), rate
        self._start = time.perf_counter()
        self._end = self._start + seconds
        self._last = self._start
        self._taken: list[float] = []
        self._errors: list[Exception] = []

    def work(self, client: Client) -> None:
        try:
            with client() as act:
                # At least one of all clients asks, however short the time is.
                while ((due := self._due()) < self._end or not self._taken) and not self._errors:
                    self._one(act, due)
        except Exception as error:
            self._errors.append(error)

    def _due(self) -> float:
        """When the next request is due."""
        return time.perf_counter() if self._rate is None else self._start + next(self._paced) / self._rate

    def _one(self, act: Action, due: float) -> None:
        # Not for something to happen: this is when the request is due.
        time.sleep(max(0.0, due - time.perf_counter()))
        act(next(self._numbers))
        self._last = time.perf_counter()
        self._taken.append(self._last - due)

    def timing(self) -> Timing:
        if self._errors:
            raise RuntimeError(f"A client failed: {self._errors[0]}") from self._errors[0]
        return Timing(len(self._taken) / (self._last - self._start), *quantiles(self._taken))


def quantiles(seconds: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile, in milliseconds."""
    ordered = sorted(seconds)
    return 1000 * ordered[len(ordered) // 2], 1000 * ordered[int(0.99 * len(ordered))]
