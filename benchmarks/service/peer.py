"""MLflow's tracking server, in an environment of its own, with the same content in its own tables on SQLite."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from benchmarks.report import FOLDER
from benchmarks.service import corpus
from benchmarks.service.driving import Client, Request, http
from tests.servers import free_port, wait_for

HOME = FOLDER / "mlflow"
_ROOT = "/api/2.0/mlflow"
_ENVIRONMENT = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}
_INSERT = {
    "params": "INSERT INTO params (run_uuid, key, value) SELECT run_uuid, p.key, p.value FROM runs, p",
    "tags": "INSERT INTO tags (run_uuid, key, value) SELECT run_uuid, 'mlflow.runName', name FROM runs",
    "metrics": "INSERT INTO metrics (run_uuid, key, value, timestamp, step, is_nan) SELECT run_uuid, m.key, m.value, "
    "start_time + m.step, m.step, 0 FROM runs, m WHERE m.step = 1 OR run_uuid >= :long",
    "latest_metrics": "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) SELECT run_uuid, "
    "m.key, m.value, start_time + m.step, m.step, 0 FROM runs, m WHERE m.step = 1",
}


def install() -> str:
    """Make the environment, if it is not there, and give MLflow's version."""
    python = HOME / "bin" / "python"
    if not (HOME / "bin" / "mlflow").exists():
        for words in (["venv", "-q", str(HOME)], ["pip", "install", "-q", "-p", str(python), "mlflow"]):
            subprocess.run([sys.executable, "-m", "uv", *words], check=True)
    said = subprocess.run([HOME / "bin" / "mlflow", "--version"], check=True, capture_output=True, text=True)
    return said.stdout.split()[-1]


class Peer:
    """A running tracking server as `mlflow server` starts it; a context manager that leaves nothing behind."""

    def __init__(self, runs: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="ncmix-mlflow-"))
        self._environment = {**os.environ, **_ENVIRONMENT}
        self._program = (HOME / "bin" / "mlflow").absolute()
        self._file = self._folder / "mlflow.db"
        self._runs = runs
        self.url = f"http://127.0.0.1:{(port := free_port())}"
        self._words = ["--backend-store-uri", f"sqlite:///{self._file}", "--port", str(port)]
        self._process: subprocess.Popen[Any] | None = None

    def __enter__(self) -> "Peer":
        with (self._folder / "log").open("wb") as log:
            options: dict[str, Any] = {"env": self._environment, "stdout": log, "stderr": log, "cwd": self._folder}
            subprocess.run([self._program, "db", "upgrade", f"sqlite:///{self._file}"], check=True, **options)
            with closing(sqlite3.connect(self._file)) as database, database:
                _fill(database, self._runs, self._folder)
            words = [self._program, "server", *self._words]
            self._process = subprocess.Popen(words, start_new_session=True, **options)
        wait_for(self._answers, "An answer of MLflow", 120.0, every=0.5)
        wait_for(self._rests, "The end of MLflow's start", 120.0)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(10)
            for process in self._processes():
                os.kill(process, signal.SIGKILL)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/health", timeout=5) as answer:  # noqa: S310 - our own address
                return answer.status == 200
        except OSError:
            return False

    def _rests(self) -> bool:
        """Whether its processes used less than a fifth of a core over two seconds: then all have started."""
        before = sum(self._processes().values())
        time.sleep(2.0)
        return sum(self._processes().values()) - before < 0.4 * os.sysconf("SC_CLK_TCK")

    def _processes(self) -> dict[int, int]:
        """All of its processes, in whichever session, and the ticks each has used."""
        found: dict[int, int] = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if str(HOME.absolute()).encode() in (folder / "cmdline").read_bytes():
                    facts = (folder / "stat").read_text().rpartition(") ")[2].split()
                    found[int(folder.name)] = int(facts[11]) + int(facts[12])
        return found

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It does nothing within the block: idle, its processes take some of the machine."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self._processes():
                os.kill(process, signal.SIGCONT)

    def clients(self) -> dict[str, Client]:
        """A client for each thing that is measured, by the names that ours have."""
        ids, epochs = [_id(number) for number in range(1, self._runs + 1)], count(1)
        few = ids[-corpus.LONG :]
        history = f"{_ROOT}/metrics/get-history?metric_key=train.{corpus.NAMES[7]}&run_id="
        return {
            "get one": self._client(lambda i: Request("GET", f"{_ROOT}/runs/get?run_id={ids[i * 7919 % len(ids)]}")),
            "list 50": self._client(lambda i: _post("runs/search", experiment_ids=["1"], max_results=50)),
            "metric history": self._client(lambda i: Request("GET", f"{history}{few[i % len(few)]}")),
            "write an epoch": self._client(lambda i: _batch(ids[i % 8], next(epochs))),
            "submit": self._client(lambda i: _post("runs/create", experiment_id="1", start_time=_now())),
        }

    def _client(self, make: Callable[[int], Request]) -> Client:
        return http(self.url, make)


def _post(what: str, **body: object) -> Request:
    return Request("POST", f"{_ROOT}/{what}", json.dumps(body).encode())


def _batch(run: str, epoch: int) -> Request:
    values = [
        {"key": f"{m.split}.{m.name}", "value": m.value, "timestamp": _now(), "step": epoch}
        for m in corpus.snapshot(epoch).metrics
    ]
    return _post("runs/log-batch", run_id=run, metrics=values)


def _now() -> int:
    return int(1000 * time.time())


def _id(number: int) -> str:
    return f"{number:032x}"


def _fill(database: sqlite3.Connection, runs: int, folder: Path) -> None:
    """Rows as its own client would leave them."""
    now = _now()
    database.execute(
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage, creation_time, "
        "last_update_time, workspace) VALUES (1, 'benchmark', ?, 'active', ?, ?, 'default')",
        (str(folder), now, now),
    )
    database.executemany(
        "INSERT INTO runs (run_uuid, name, source_type, source_name, entry_point_name, user_id, status, start_time, "
        "end_time, source_version, lifecycle_stage, artifact_uri, experiment_id) "
        "VALUES (?, ?, 'UNKNOWN', '', '', 'somebody', 'FINISHED', ?, ?, '', 'active', ?, 1)",
        [(_id(n), f"run {n}", now - 10_000 * (runs - n), now, str(folder)) for n in range(1, runs + 1)],
    )
    database.execute("CREATE TEMP TABLE p (key, value)")
    database.executemany("INSERT INTO p VALUES (?, ?)", corpus.flat(corpus.spec(0).model_dump(mode="json")).items())
    database.execute("CREATE TEMP TABLE m (key, value, step)")
    snapshots = map(corpus.snapshot, range(1, corpus.LONG_EPOCHS + 1))
    measured = [(f"{m.split}.{m.name}", m.value, s.epoch) for s in snapshots for m in s.metrics]
    database.executemany("INSERT INTO m VALUES (?, ?, ?)", measured)
    for statement in _INSERT.values():
        database.execute(statement, {"long": _id(runs - corpus.LONG + 1)} if ":long" in statement else ())
    # As ours is.
    database.execute("ANALYZE")
