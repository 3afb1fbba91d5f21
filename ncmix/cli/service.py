"""The embedded service as child processes: migrate, then API and one worker, started and stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import click
import httpx2

from ncmix.errors import NcmixError

READY_SECONDS = 60
STOP_SECONDS = 40  # above the worker's own grace period
_SHORTEST_REST, _LONGEST_REST = 1.0, 60.0


class ServiceError(NcmixError, RuntimeError):
    """The service cannot start, or a part of it has died."""


class Part:
    """One process of the service, which can be started again: its database and its socket outlive it."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path, fd: int) -> None:
        self._name, self._command, self._environment, self._log, self._fd = name, command, environment, log, fd
        # When it is started again, if it is to be; how long it rests before the next time; when it was started.
        self._next, self._rest, self._began = 0.0, _SHORTEST_REST, time.monotonic()
        self._process = self._start()

    def check(self) -> None:
        """Make sure that it still runs.

        Raises:
            ServiceError: it has ended; the message has the end of its log.
        """
        if (status := self._process.poll()) is not None:
            raise ServiceError(f"The {self._name} process has ended with status {status}.{self._last_words()}")

    def keep(self) -> None:
        """Start it again if it has ended: at first soon, then later and later, unless it ran for long."""
        now = time.monotonic()
        try:
            if not self._next:
                self.check()
            elif now >= self._next:
                self._process, self._next, self._began = self._start(), 0.0, now
        except ServiceError as error:
            rest = _SHORTEST_REST if now - self._began > _LONGEST_REST else self._rest
            self._next, self._rest = now + rest, min(2 * rest, _LONGEST_REST)
            with suppress(OSError):  # Whoever read this may be gone; the service stays.
                click.echo(f"Error: {error}\nIt is started again in {rest:g} s.", err=True)

    def stop(self) -> None:
        """End it, and wait for that."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(errors="replace").splitlines()[-20:]
        except OSError:
            return ""
        return "\n".join([f" The end of {self._log}:", *lines])

    def _start(self) -> "subprocess.Popen[bytes]":
        """In a process group of its own: Ctrl-C reaches us alone, and we stop the parts in order."""
        try:
            with self._log.open("ab") as file:
                return subprocess.Popen(
                    self._command, env=self._environment, stdout=file, stderr=file, pass_fds=(self._fd,),
                    stdin=subprocess.DEVNULL, start_new_session=True,
                )  # fmt: skip
        except OSError as error:
            raise ServiceError(f"The {self._name} process cannot be started: {error}.") from error


@dataclass(frozen=True)
class Service:
    """A running service: its URL, where its logs are, and its parts."""

    url: str
    logs: Path
    parts: list[Part]

    def check(self) -> None:
        """Make sure every part still runs.

        Raises:
            ServiceError: one has ended; the message has the end of its log.
        """
        for part in self.parts:
            part.check()

    def keep(self, seconds: float = 1.0) -> None:
        """Start again what ends, until interrupted."""
        while True:
            for part in self.parts:
                part.keep()
            time.sleep(seconds)


@contextmanager
def running(home: Path, host: str, port: int) -> Iterator[Service]:
    """A service with its data under `home`, on `host` and `port` (0: any free one), until the block is left.

    Raises:
        ServiceError: the address is taken, or a process does not come up.
    """
    logs = home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    # Its logs are files that people read.
    environment = {"NCMIX_LOG_FORMAT": "text", **os.environ, "NCMIX_HOME": str(home.resolve())}
    _migrate(environment)
    with ExitStack() as stack, _listening(host, port) as listener:
        url = f"http://{host}:{listener.getsockname()[1]}"
        api = [sys.executable, "-m", "api", "--fd", str(listener.fileno())]
        commands = {"worker": [sys.executable, "-m", "worker", "--queues=cpu,gpu"], "api": api}
        service = Service(url, logs, [])
        for name, command in commands.items():
            part = Part(name, command, environment, logs / f"{name}.log", listener.fileno())
            stack.callback(part.stop)
            service.parts.append(part)
        _wait_until_ready(service)
        yield service


def _migrate(environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "ncmix.jobs.migrate"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServiceError(f"The database cannot be brought up to date:\n{done.stderr.strip()[-2000:]}")


def _listening(host: str, port: int) -> socket.socket:
    """A socket that listens before the API runs: no other process can take the port in between."""
    try:
        return socket.create_server((host, port))
    except OSError as error:
        raise ServiceError(f"Nothing can listen on {host}:{port}: {error.strerror}. Name another --port.") from error


def _wait_until_ready(service: Service) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        service.check()
        try:
            # A service that asks for a key has asked its database whether there is one.
            if httpx2.get(f"{service.url}/readyz", timeout=2.0).status_code in (200, 401):
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise ServiceError(f"The service at {service.url} is not ready after {READY_SECONDS} s; see {service.logs}.")
