"""The embedded service as child processes: migrate, then API and one worker, started and stopped together."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from ncmix.errors import NcmixError

READY_SECONDS = 60
STOP_SECONDS = 40  # above the worker's own grace period


class ServiceError(NcmixError, RuntimeError):
    """The service cannot start, or a part of it has died."""


@dataclass(frozen=True)
class Service:
    """A running service: its URL and its processes by name."""

    url: str
    logs: Path
    processes: dict[str, "subprocess.Popen[bytes]"]

    def check(self) -> None:
        """Make sure every process still runs.

        Raises:
            ServiceError: one has ended; the message has the end of its log.
        """
        for name, process in self.processes.items():
            if process.poll() is not None:
                raise ServiceError(_obituary(name, process.returncode, self.logs / f"{name}.log"))

    def wait(self, seconds: float = 1.0) -> None:
        """Return only by an exception: when a process ends, or when interrupted."""
        while True:
            self.check()
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
        service = Service(url, logs, {})
        for name, command in commands.items():
            process = _start(command, environment, logs / f"{name}.log", listener.fileno())
            stack.callback(_stop, process)
            service.processes[name] = process
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


def _start(command: list[str], environment: dict[str, str], log: Path, fd: int) -> "subprocess.Popen[bytes]":
    """A child in a process group of its own: Ctrl-C reaches us alone, and we stop the children in order."""
    with log.open("ab") as file:
        return subprocess.Popen(
            command, env=environment, stdout=file, stderr=file, pass_fds=(fd,), stdin=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


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


def _obituary(name: str, code: int, log: Path) -> str:
    tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
    return f"The {name} process has ended with status {code}. The end of {log}:\n{tail}"
