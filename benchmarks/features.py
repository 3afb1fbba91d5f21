"""How fast features go into the record and come out, beside plain files: `python -m benchmarks.features`.

A table of each, and build/bench/features.json. Writing is what a worker does (`recording.record`: digests, chunks, the
transaction that completes the set), reading what a plot does. `lock` is the longest that another writer of the SQLite
file had to wait.
Streaming is done by a real API; the memory is that of its process beyond what it had before. PostgreSQL is one of the
test servers, which does not wait for its disk; SQLite in WAL mode does so only now and then, a file here not at all.
"""

import argparse
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import make_url

from benchmarks import report
from benchmarks.report import Table
from ncmix.jobs import lifecycle, queries, recording
from ncmix.jobs.database import Database
from ncmix.jobs.migrate import migrate
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease
from ncmix.results import ArraySet, Snapshot
from ncmix.spec import parse
from tests.api.served import Served, serving
from tests.servers import Postgres

SPEC = {"dataset": "digits", "model": "mlp", "epochs": 100}
GOALS = {"SQLite": (1.0, 0.3), "PostgreSQL": (2.0, 0.6)}


class Waiting:
    """Another writer of a SQLite file, who wants to write all the time: how long is the longest that it cannot?"""

    def __init__(self, url: str) -> None:
        self.longest, self._stop = 0.0, threading.Event()
        self._path = make_url(url).database or ""
        self._thread = threading.Thread(target=self._try)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _try(self) -> None:
        with closing(sqlite3.connect(self._path, timeout=0, isolation_level=None)) as connection:
            free = perf_counter()
            while not self._stop.wait(0.001):
                with suppress(sqlite3.OperationalError):
                    connection.execute("BEGIN IMMEDIATE")
                    connection.execute("ROLLBACK")
                    self.longest = max(self.longest, perf_counter() - free)
                    free = perf_counter()


def leased(database: Database, settings: Settings) -> Lease:
    """An experiment under way."""
    with database.transaction() as session:
        lifecycle.submit(session, parse(SPEC), "cpu")
    with database.transaction() as session:
        claim = lifecycle.claim(session, ["cpu"], "benchmark", settings)
    if claim is None:
        raise RuntimeError("The experiment of the benchmark cannot be claimed.")
    return claim.lease


def in_files(folder: Path, h_ND: NDArray[np.float32], rounds: int) -> tuple[str | float | None, ...]:
    """The row of NumPy's own files."""
    file = folder / "h.npy"
    write = [_seconds(lambda: np.save(file, h_ND)) for _ in range(rounds)]
    read = [_seconds(lambda: np.load(file)) for _ in range(rounds)]
    return "plain file", median(write), None, median(read), None, None


def on_record(kind: str, url: str, home: str, h_ND: NDArray[np.float32], rounds: int) -> tuple[str | float | None, ...]:
    """The row of a database."""
    settings = Settings.from_environment({"NCMIX_HOME": home, "NCMIX_DATABASE_URL": url})
    migrate(settings.database_url)
    database = Database(settings.database_url)
    lease = leased(database, settings)
    kept = ArraySet("train", {"H": h_ND, "y": np.arange(len(h_ND)) % 10})
    write, read = [], []
    for epoch in range(1, rounds + 1):
        write.append(_seconds(lambda epoch=epoch: recording.record(database, lease, Snapshot(epoch, (), (kept,)))))
        read.append(_seconds(lambda epoch=epoch: _read(database, lease, epoch)))
    longest = None
    if kind == "SQLite":
        with Waiting(settings.database_url) as other:
            recording.record(database, lease, Snapshot(rounds + 1, (), (kept,)))
        longest = 1000 * other.longest
    database.dispose()
    goals = GOALS[kind]
    return kind, median(write), goals[0], median(read), goals[1], longest


def _read(database: Database, lease: Lease, epoch: int) -> None:
    with database.reading() as session:
        queries.array_set(session, lease.experiment_id, epoch, "train")


def streamed(kind: str, url: str, home: str, h_ND: NDArray[np.float32]) -> Iterator[tuple[str | float, ...]]:
    """The rows of the formats, of one large set."""
    environment = {"NCMIX_HOME": home, "NCMIX_DATABASE_URL": url}
    settings = Settings.from_environment(environment)
    migrate(settings.database_url)
    database = Database(settings.database_url)
    lease = leased(database, settings)
    recording.record(database, lease, Snapshot(1, (), (ArraySet("train", {"H": h_ND, "y": np.arange(len(h_ND))}),)))
    database.dispose()
    with serving({**os.environ, **environment}) as served:
        for suffix in ("npy", "npz", "parquet"):
            address = f"/api/v1/experiments/{lease.experiment_id}/features/train.{suffix}"
            _fetch(served, f"{address}?rows=0:9")  # what is loaded once does not count
            before = served.forget()
            seconds = _seconds(lambda address=address: _fetch(served, address))
            yield f"{kind} {suffix}", seconds, (served.peak() - before) / 1e6, 64.0


def _fetch(served: Served, address: str) -> None:
    with served.http.stream("GET", address) as answer:
        answer.raise_for_status()
        for _ in answer.iter_raw():
            pass


def _seconds(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


def tables(rows: int, large: int, rounds: int) -> Iterator[Table]:
    """What is written and read, then what is streamed."""
    draw = np.random.default_rng(0)
    h_ND = draw.standard_normal((rows, 512), np.float32)
    with TemporaryDirectory(prefix="ncmix-bench-") as home, Postgres() as postgres:
        sqlite = f"sqlite:///{home}/ncmix.db"
        measured = [
            in_files(Path(home), h_ND, rounds),
            on_record("SQLite", sqlite, home, h_ND, rounds),
            on_record("PostgreSQL", postgres.url, home, h_ND, rounds),
        ]
        title = f"{rows:,} × 512 float32, {h_ND.nbytes / 1e6:.0f} MB, seconds; medians of {rounds}"
        yield Table(title, ("where", "write", "goal", "read", "goal", "lock, ms"), measured)
    large_ND = draw.standard_normal((large, 512), np.float32)
    with TemporaryDirectory(prefix="ncmix-bench-") as home, Postgres() as postgres:
        made = [*streamed("SQLite", f"sqlite:///{home}/ncmix.db", home, large_ND)]
        made += streamed("PostgreSQL", postgres.url, home, large_ND)
    title = f"{large_ND.nbytes / 1e6:.0f} MB through the API"
    yield Table(title, ("what", "seconds", "MB of memory", "goal"), made)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.features", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    asked = parser.parse_args()
    rows, large = (2_000, 8_000) if asked.quick else (50_000, 200_000)
    made: list[Table] = []
    for table in tables(rows, large, asked.rounds):
        made.append(table)
        report.show(table)
        report.write("features", made, rounds=asked.rounds, quick=asked.quick)


if __name__ == "__main__":
    main()
