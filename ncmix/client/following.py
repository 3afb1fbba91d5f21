"""Experiments as they go, over server-sent events: through lost connections and restarts of the service, to the end."""

import json
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import httpx2

from ncmix.client.errors import ApiError, Json, UnreachableError
from ncmix.client.transport import Transport, rest

FINAL = frozenset({"succeeded", "failed", "cancelled"})
# A service that is restarted has so long to come back before those who follow an experiment give up.
PATIENCE_SECONDS = 120.0
# It sends a sign of life every 15 s: after three that are missing the connection is dead.
_SILENCE_SECONDS = 45.0
_POLL_SECONDS = 1.0
# So long those who read have to close their connections when nobody wants to know any more.
_FAREWELL_SECONDS = 0.5


@dataclass(frozen=True)
class Message:
    """Something new of an experiment, as `GET /experiments/{id}/stream` describes it.

    Attributes:
        kind: `experiment`, `metrics`, `log`, or at last `end`.
        data: what the service says.
        id: where to go on from.
    """

    kind: str
    data: Json
    id: str


def messages(
    transport: Transport,
    experiment: str,
    after: str | None = None,
    patience: float = PATIENCE_SECONDS,
    unwanted: threading.Event | None = None,
) -> Iterator[Message]:
    """All that is new of an experiment behind the message `after`, each once and in order, up to `end`.

    Once it is `unwanted`, a connection that was lost is not made again.

    Raises:
        ApiError: it cannot be followed.
        UnreachableError: the service was away for more than `patience` seconds.
    """
    tried, heard = 0, time.monotonic()
    unwanted = unwanted or threading.Event()
    while not unwanted.is_set():
        try:
            for message in _connection(transport, experiment, after):
                tried, heard, after = 0, time.monotonic(), message.id
                yield message
                if message.kind == "end":
                    return
            error: Exception = UnreachableError(f"The service at {transport.url} has closed the connection.")
        except (ApiError, UnreachableError) as failed:
            error = failed
        tried += 1
        if (seconds := rest(tried, error)) is None or time.monotonic() - heard > patience:
            raise error
        unwanted.wait(seconds)


def _connection(transport: Transport, experiment: str, after: str | None) -> Iterator[Message]:
    """What comes until the connection breaks."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": after} if after else {})}
    timeout = httpx2.Timeout(10.0, read=_SILENCE_SECONDS)
    with transport.open(f"/experiments/{experiment}/stream", headers=headers, timeout=timeout) as response:
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            raise ApiError(406, {"detail": f"{response.url} is no stream of events."})
        for event in httpx2.EventSource(response, max_event_size=None):
            if event.data:
                yield Message(event.event, json.loads(event.data), event.id)


def states(
    transport: Transport,
    experiment: str,
    patience: float = PATIENCE_SECONDS,
    unwanted: threading.Event | None = None,
) -> Iterator[Json]:
    """The experiment whenever it has changed, up to its end; where streams do not come through, by asking repeatedly.

    Raises:
        ApiError: there is none, or no more.
        UnreachableError: the service was away for more than `patience` seconds.
    """
    try:
        for message in messages(transport, experiment, patience=patience, unwanted=unwanted):
            if message.kind == "experiment":
                yield message.data
            elif message.kind == "end" and message.data["state"] == "deleted":
                raise ApiError(404, {"detail": f"Experiment {experiment} was deleted while it was followed."})
    except ApiError as error:
        if error.status == 404 or rest(1, error) is not None:
            raise  # It is gone, or the service is.
        yield from _polled(transport, experiment, patience)


def _polled(transport: Transport, experiment: str, patience: float) -> Iterator[Json]:
    while True:
        now = transport.ask(f"/experiments/{experiment}", patience=patience)
        yield now
        if now["state"] in FINAL:
            return
        time.sleep(_POLL_SECONDS)


def together(
    transport: Transport, experiments: Sequence[str], timeout: float | None, patience: float = PATIENCE_SECONDS
) -> Iterator[Json]:
    """Any of several experiments whenever it has changed, until all have ended.

    Raises:
        TimeoutError: they have not within `timeout` seconds.
        ApiError, UnreachableError: as `states`, of the first for which that happens.
    """
    deadline = None if timeout is None else time.monotonic() + timeout
    news: queue.SimpleQueue[Json | Exception | None] = queue.SimpleQueue()
    unwanted = threading.Event()
    readers = [_reader(states(transport, each, patience, unwanted), news.put, unwanted) for each in experiments]
    running = len(experiments)
    try:
        while running:
            match _next(news, deadline):
                case None:
                    running -= 1
                case Exception() as error:
                    raise error
                case now:
                    yield now
    finally:
        unwanted.set()
        for reader in readers:
            reader.join(_FAREWELL_SECONDS / len(readers))


def _reader(found: Iterator[Json], put: Callable[[Any], None], unwanted: threading.Event) -> threading.Thread:
    """A thread that passes on what it finds. A daemon: nobody waits for a connection that is silent."""
    thread = threading.Thread(target=_pass_on, args=(found, put, unwanted), daemon=True)
    thread.start()
    return thread


def _pass_on(found: Iterator[Json], put: Callable[[Any], None], unwanted: threading.Event) -> None:
    """Every item, and None behind the last or what went wrong, until nobody wants them any more."""
    try:
        with closing(found):  # type: ignore[type-var] - it is a generator
            for now in found:
                if unwanted.is_set():
                    return
                put(now)
        put(None)
    except Exception as error:
        put(error)


def _next(news: "queue.SimpleQueue[Json | Exception | None]", deadline: float | None) -> Json | Exception | None:
    if deadline is None:
        return news.get()
    try:
        return news.get(timeout=max(0.0, deadline - time.monotonic()))
    except queue.Empty:
        raise TimeoutError from None
