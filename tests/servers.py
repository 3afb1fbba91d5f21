"""Real servers for tests: a Redis and a PostgreSQL of the test's own, on free ports, that end with it."""

import atexit
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Self, TypeVar

import httpx2
import psycopg
import redis

T = TypeVar("T")


class MissingBinaryError(RuntimeError):
    """This machine has no such server; the message says what was looked for."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition: Callable[[], T], what: str, seconds: float = 30.0, every: float = 0.02) -> T:
    """The first true value of `condition`; an error that says what did not happen in time."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {seconds:g} s")
        time.sleep(every)
    return value


def _binary(name: str) -> str:
    # Python's own programs are beside it. Debian keeps PostgreSQL's servers out of PATH; the newest version comes last.
    postgres = map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), *postgres]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise MissingBinaryError(f"{name} is neither in PATH nor in /usr/lib/postgresql/*/bin")
    return found


class Server:
    """A process with a folder of its own; a context manager that starts it and leaves nothing behind."""

    binary: str

    def __init__(self) -> None:
        self._program = _binary(self.binary)
        # Not under pytest's folder: that one is closed to the user PostgreSQL has to run as.
        self.folder = Path(tempfile.mkdtemp(prefix=f"ncmix-{self.binary}-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Of the running server."""
        return self._process.pid if self._process else None

    @property
    def url(self) -> str:
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        """Start, or start again with the same data on the same port; returns when it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, cwd=self.folder, start_new_session=True, **self.owner()
            )
        wait_for(self._up, f"An answer of {self.binary}")

    def owner(self) -> dict:
        return {}

    def _up(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"{self.binary} ended: {(self.folder / 'log').read_text()[-2000:]}")
        return self.answers()

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the server: SIGSTOP freezes it, SIGCONT wakes it."""
        if self._process is not None:
            self._process.send_signal(number)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it and wait until it is gone; SIGKILL loses what it had not written."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGQUIT if self.binary == "postgres" else signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)


class Redis(Server):
    """A Redis that writes nothing to disk."""

    binary = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [self._program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]

    def flush(self) -> None:
        """Forget everything."""
        with redis.Redis(port=self.port) as client:
            client.flushall()

    def answers(self) -> bool:
        with suppress(redis.exceptions.ConnectionError), redis.Redis(port=self.port) as client:
            return bool(client.ping())
        return False


class S3(Server):
    """An object store that speaks S3 (moto's server), with the bucket `features`."""

    binary = "moto_server"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The AWS_* variables of its clients."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "someone",
            "AWS_SECRET_ACCESS_KEY": "secret",
        }

    def command(self) -> list[str]:
        return [self._program, "-H", "127.0.0.1", "-p", str(self.port)]

    def answers(self) -> bool:
        # It takes whoever signs; what is signed with tells it the region and the service.
        signed = {"Authorization": "AWS4-HMAC-SHA256 Credential=someone/20200101/us-east-1/s3/aws4_request"}
        with suppress(httpx2.TransportError):
            return httpx2.put(f"{self.url}/features", headers=signed, timeout=5).is_success
        return False


def _postgres_owner() -> dict:
    """PostgreSQL refuses to run as root: the user `postgres`, or else `nobody`."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@cache
def _new_cluster() -> Path:
    """The files of a PostgreSQL that was never started, made once in a process: to make them takes seconds."""
    folder = Path(tempfile.mkdtemp(prefix="ncmix-initdb-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if owner := _postgres_owner():
        shutil.chown(folder, owner["user"], owner["group"])
    words = [_binary("initdb"), "-D", folder / "data", "-U", "ncmix", "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*words, "--locale=C"], check=True, capture_output=True, cwd=folder, **owner)
    return folder / "data"


class Postgres(Server):
    """A PostgreSQL with one superuser `ncmix`, tuned to be made and thrown away."""

    binary = "postgres"

    def __init__(self) -> None:
        super().__init__()
        if owner := self.owner():
            shutil.chown(self.folder, owner["user"], owner["group"])
        self._data = self.folder / "data"
        subprocess.run([_binary("cp"), "-a", _new_cluster(), self._data], check=True)

    def owner(self) -> dict:
        return _postgres_owner()

    @property
    def url(self) -> str:
        return self.url_of("postgres")

    def url_of(self, database: str) -> str:
        """The address of one database on this server."""
        return f"postgresql+psycopg://ncmix@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str) -> None:
        """Run one statement outside a transaction, as CREATE DATABASE needs."""
        with psycopg.connect(f"host=127.0.0.1 port={self.port} user=ncmix dbname=postgres", autocommit=True) as c:
            c.execute(statement.encode())

    def command(self) -> list[str]:
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "fsync": "off",
            "full_page_writes": "off",
            "synchronous_commit": "off",
            "max_connections": "200",
            "shared_buffers": "64MB",
        }
        return [self._program, "-D", str(self._data), *(f"--{name}={value}" for name, value in options.items())]

    def answers(self) -> bool:
        with suppress(psycopg.OperationalError):
            self.run("SELECT 1")
            return True
        return False


class Api:
    """A real `python -m api`; a context manager that ends it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = {**os.environ, **environment}
        self.folder = Path(tempfile.mkdtemp(prefix="ncmix-api-"))
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._command = [sys.executable, "-m", "api", "--port", str(port)]
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self.folder / "log").read_text()

    def start(self, seconds: float = 60.0) -> None:
        """Start, or start again on the same port; returns when it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        wait_for(self._up, "An answer of the API", seconds)

    def kill(self) -> None:
        """SIGKILL it."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _up(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            raise RuntimeError(f"The API ended: {self.log[-2000:]}")
        with suppress(httpx2.TransportError):
            # Where there is a key, it asks for one.
            return httpx2.get(f"{self.url}/readyz", timeout=5.0).status_code in (200, 401)
        return False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Worker:
    """A real `python -m worker`; a context manager that leaves neither it nor a child of it behind."""

    def __init__(self, environment: Mapping[str, str], *words: str, module: str = "worker") -> None:
        self._module = module
        self._environment = {**os.environ, **environment}
        self._words = words
        self.folder = Path(tempfile.mkdtemp(prefix="ncmix-worker-"))
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it said so far."""
        return (self.folder / "log").read_text()

    def children(self, words: str = "worker.runner") -> list[int]:
        """The processes of this worker's making whose command holds `words`, also when it is dead itself."""
        return [pid for pid in _processes(words) if _home(pid) == self._environment["NCMIX_HOME"]]

    def kill(self) -> None:
        """SIGKILL both Celery processes at once. The child must find out by itself."""
        # Once it was waited for, its number may be another's.
        if self.process is not None and self.process.returncode is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def stop(self, seconds: float = 30.0) -> int:
        """SIGTERM it as Docker does, and give its exit status."""
        if self.process is None:
            raise RuntimeError("The worker was not started.")
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(seconds)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to both Celery processes: SIGSTOP freezes them."""
        if self.process is not None:
            os.killpg(self.process.pid, number)

    def __enter__(self) -> Self:
        self.start()
        return self

    def start(self) -> None:
        """Start, or start again after `kill` or `stop`."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", self._module, *self._words],
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self.kill()
        wait_for(
            lambda: not self.children("worker.runner") + self.children("toy_child"), "The end of the worker's child"
        )
        shutil.rmtree(self.folder, ignore_errors=True)


def _processes(words: str) -> list[int]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if words in (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"):
                found.append(int(folder.name))
    return found


def _home(pid: int) -> str:
    with suppress(OSError):
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return next((w.removeprefix(b"NCMIX_HOME=").decode() for w in words if w.startswith(b"NCMIX_HOME=")), "")
    return ""
