"""The containers of one installation: a project of its own in the Docker engine, on a free port, gone afterwards."""

import json
import os
import re
import secrets
import signal
import subprocess
import textwrap
import time
from pathlib import Path
from typing import Any, Self

from ncmix.client import Client, Experiment
from tests.servers import free_port, wait_for

ROOT = Path(__file__).parents[2]
_KEY = re.compile(r"ncmix_[0-9a-f]{12}_[0-9a-f]{64}")
# A worker that died is noticed soon; else as docker-compose.yml has it.
_SHORT = {"NCMIX_LEASE_SECONDS": "12", "NCMIX_RENEW_SECONDS": "3"}


class Project:
    """`docker compose` as an operator runs it, with these variables in the shell."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment

    def compose(self, *words: str) -> str:
        """What `docker compose …` prints."""
        return self._said(["docker", "compose", *words], ROOT)

    def shell(self, script: str, folder: Path) -> str:
        """What a script of the documents prints, run in a folder of the operator's."""
        return self._said(["bash", "-euo", "pipefail", "-c", script], folder)

    def _said(self, command: list[str], folder: Path) -> str:
        done = subprocess.run(command, cwd=folder, env=self.environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        return done.stdout


class Stack(Project):
    """One installation, with what a test does to it; a context manager that leaves nothing behind."""

    def __init__(self) -> None:
        self.project = f"ncmix-test-{secrets.token_hex(3)}"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = ""
        self.times: dict[str, float] = {}
        self.sizes: dict[str, int] = {}
        super().__init__({
            **os.environ, **_SHORT, "NCMIX_DEVICE": "cpu", "NCMIX_PORT": str(self.port), "DOCKER_BUILDKIT": "1",
            "NCMIX_REVISION": self.project, "COMPOSE_PROJECT_NAME": self.project,
            "COMPOSE_FILE": str(ROOT / "docker-compose.yml"),
        })  # fmt: skip

    def timed(self, what: str, *words: str) -> str:
        """As `compose`; how long it took is told in the end."""
        began = time.monotonic()
        said = self.compose(*words)
        self.times[what] = time.monotonic() - began
        return said

    def first_key(self) -> str:
        """The key that the last first start has printed."""
        return _KEY.findall(self.compose("logs", "--no-log-prefix", "key"))[-1]

    def client(self) -> Client:
        """A client with the first key."""
        return Client(self.url, key=self.key)

    def curl(self, path: str, *words: str, key: str | None = None) -> tuple[int, bytes]:
        """Status and body, by curl with the key; an empty one is not sent."""
        key = self.key if key is None else key
        header = ["-H", f"Authorization: Bearer {key}"] if key else []
        command = ["curl", "-s", "-w", "\n%{http_code}", *header, *words, f"{self.url}{path}"]
        body, _, status = subprocess.run(command, capture_output=True, check=True).stdout.rpartition(b"\n")
        return int(status), body

    def json(self, path: str, *words: str) -> Any:
        """The body of a success."""
        status, body = self.curl(path, *words)
        assert status < 300, body
        return json.loads(body)

    def kill(self, service: str) -> None:
        """SIGKILL the first process of every container of a service, as the system does; its restart policy holds."""
        for container in self.compose("ps", "-q", service).split():
            inspect = ["docker", "inspect", "-f", "{{.State.Pid}}", container]
            os.kill(int(subprocess.run(inspect, capture_output=True, check=True).stdout), signal.SIGKILL)

    def wait_for_epoch(self, client: Client, experiment: str, epoch: int) -> None:
        """Until so many epochs are done."""
        wait_for(lambda: client.experiment(experiment).epoch >= epoch, f"Epoch {epoch}", 120, every=0.2)

    def ended(self, client: Client, experiment: str, seconds: float = 240) -> Experiment:
        """The experiment once it has ended."""
        wait_for(lambda: client.experiment(experiment).ended, "The end", seconds, every=0.5)
        return client.experiment(experiment)

    def __enter__(self) -> Self:
        try:
            self.timed("up", "up", "-d", "--wait")
            self.key = self.first_key()
        except BaseException:
            self.__exit__(AssertionError)
            raise
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            print(self.compose("logs", "--tail", "50"))  # noqa: T201 - all that is left of it
        self.compose("down", "-v", "--remove-orphans", "-t", "5")


def docker(*words: str) -> str:
    """What `docker …` prints."""
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=True).stdout  # noqa: S607


def documented(title: str) -> list[str]:
    """The blocks of commands that docs/operations.md has between this title, or words in bold, and the next."""
    page = (ROOT / "docs" / "operations.md").read_text().partition(title)[2]
    section = re.split(r"\n## |\n\*\*", page)[0]
    return [textwrap.dedent(block) for block in re.findall(r"\n\n((?:    .*\n)+)", section)]
