"""Kombu's queue in files, made safe for processes that write and read at the same moment.

Kombu's own makes a file and then fills it: a reader that comes in between finds an empty message, or an empty table of
queues, and the worker that read it ends. Here a file has its name only once it is whole.
"""

import fcntl
import logging
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty
from time import monotonic_ns
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

_LOG = logging.getLogger(__name__)
_LONGEST_WAIT = 0.25


class Channel(filesystem.Channel):
    """Messages are files of one folder; their names tell their order and their queue."""

    def get_table(self, exchange: str) -> list[Any]:
        """The bindings of an exchange."""
        with self._alone():
            return super().get_table(exchange)

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        with self._alone():
            super()._queue_bind(exchange, routing_key, pattern, queue)

    def _delete(self, *words: Any, **named: Any) -> None:
        with self._alone():
            super()._delete(*words, **named)

    def _put(self, queue: str, payload: Any, **_: Any) -> None:
        path = Path(self.data_folder_out) / f"{monotonic_ns():020}_{uuid.uuid4()}.{queue}.msg"
        part = path.with_suffix(".part")
        try:
            part.write_text(dumps(payload))
            part.rename(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            raise ChannelError(f"The message {path} cannot be written: {error.strerror}.") from error

    def _get(self, queue: str, timeout: float | None = None) -> Any:
        for path in sorted(Path(self.data_folder_in).glob(f"*.{queue}.msg")):
            # Whoever renames it has it.
            taken = path.with_suffix(f".{os.getpid()}")
            try:
                path.rename(taken)
            except OSError:
                continue
            text = taken.read_text()
            taken.unlink()
            try:
                return loads(text)
            except ValueError:
                # Of a machine that lost its power. What it was about is on record, and the poll finds it.
                _LOG.warning("%s was no message and is removed", path)
        raise Empty

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Nobody else reads or writes the bindings meanwhile."""
        self.control_folder.mkdir(parents=True, exist_ok=True)
        with (self.control_folder / "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield


class Transport(filesystem.Transport):
    """To be named as Celery's `broker_transport`."""

    Channel = Channel

    def drain_events(self, connection: Any, timeout: float | None = None) -> None:
        """Wait for a message, never long: Celery does not look in between whether it shall stop."""
        super().drain_events(connection, timeout=min(_LONGEST_WAIT, timeout or _LONGEST_WAIT))
