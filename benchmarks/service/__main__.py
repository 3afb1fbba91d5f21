"""`python -m benchmarks.service [--large] [--no-mlflow]`: a table, and build/bench/service.json.

Ours is one API process and, for writing, what the child of a worker does: straight to the database. MLflow is its
tracking server as `mlflow server` starts it, four processes here, everything over HTTP as its own client does it.
"""

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from tempfile import TemporaryDirectory

from benchmarks import report
from benchmarks.report import Table
from benchmarks.service import corpus, filling, ours, peer, streams
from benchmarks.service.driving import Client, Timing, drive
from ncmix.jobs.database import Database
from ncmix.jobs.migrate import migrate
from ncmix.jobs.settings import Settings
from tests.servers import Api, Postgres

CLIENTS, EXPERIMENTS, VIEWERS = 8, 10_000, 200
LARGE, LARGE_METRICS = 100_000, 100
PACE = 50.0
THINGS = ("get one", "list 50", "metric history", "write an epoch", "submit")
GOALS = {"get one": 8.0, "list 50": 30.0, "write an epoch": 5.0}
_COLUMNS = ("", "1/s", "p50 ms", "p99 ms")
_BESIDE = (*_COLUMNS, "MLflow 1/s", "p50 ms", "p99 ms", "ratio", "goal")
_LATENCIES = {"list 50": 20.0, "get one": 50.0, "metric history": 20.0, "submit": PACE}


def main() -> None:
    """Measure, print, write."""
    asked = _arguments()
    tables: list[Table] = []
    settings = {"clients": CLIENTS, "seconds": asked.seconds, "experiments": asked.experiments}
    for table in _large(asked) if asked.large else _beside(asked):
        report.show(table)
        tables.append(table)
        report.write("service-large" if asked.large else "service", tables, **settings)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.service", description=__doc__)
    parser.add_argument("--no-mlflow", dest="mlflow", action="store_false", help="leave out MLflow's server")
    parser.add_argument("--large", action="store_true", help="instead: ten thousand against 100,000 experiments")
    parser.add_argument("--experiments", type=int, default=EXPERIMENTS, help="how many are on record")
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each thing is measured")
    parser.add_argument("--viewers", type=int, default=VIEWERS, help="how many follow one experiment")
    return parser.parse_args()


@contextmanager
def serving(experiments: int, metrics: int, database_url: str | None = None) -> Iterator[tuple[Api, Settings, list]]:
    """A running API with so many experiments on record; their ids come with it."""
    with TemporaryDirectory(prefix="ncmix-bench-") as folder:
        environment = {"NCMIX_HOME": folder} | ({"NCMIX_DATABASE_URL": database_url} if database_url else {})
        settings = Settings.from_environment(environment)
        migrate(settings.database_url)
        database = Database(settings.database_url)
        ids = filling.fill(database, settings, experiments, metrics)
        database.dispose()
        with Api(environment) as api:
            yield api, settings, ids


def _beside(asked: argparse.Namespace) -> Iterator[Table]:
    """Throughput in turn, both running all the time; then ours alone."""
    with ExitStack() as stack:
        api, settings, ids = stack.enter_context(serving(asked.experiments, corpus.METRICS * len(corpus.SPLITS)))
        mine = ours.clients(api.url, settings, ids)
        title = f"{CLIENTS} clients, {asked.experiments:,} experiments on SQLite"
        if asked.mlflow:
            version = peer.install()
            mlflow = stack.enter_context(peer.Peer(asked.experiments))
            rows = [_both(name, mine, mlflow, asked.seconds) for name in THINGS]
            yield Table(f"{title}, beside MLflow {version}", _BESIDE, rows)
            stack.enter_context(mlflow.frozen())
        else:
            rows = [(name, *_measured(mine[name], asked.seconds)) for name in THINGS]
            yield Table(title, _COLUMNS, rows)
        yield Table("Requests that come at a steady pace", _COLUMNS, list(_paced(mine, asked.seconds)))
        yield streams.table(api.url, settings, asked.viewers, asked.seconds)


def _both(name: str, mine: dict[str, Client], mlflow: peer.Peer, seconds: float) -> tuple[str | float, ...]:
    with mlflow.frozen():
        here = _measured(mine[name], seconds)
    there = _measured(mlflow.clients()[name], seconds)
    goal = f"{GOALS[name]:g}" if name in GOALS else ""
    return name, *here, *there, here[0] / there[0], goal


def _measured(client: Client, seconds: float) -> tuple[float, float, float]:
    drive(client, seconds / 5, CLIENTS)  # to warm up
    return _cells(drive(client, seconds, CLIENTS))


def _cells(timing: Timing) -> tuple[float, float, float]:
    return timing.rate, timing.p50, timing.p99


def _paced(mine: dict[str, Client], seconds: float) -> Iterator[tuple[str | float, ...]]:
    for name, rate in _LATENCIES.items():
        yield f"{name} at {rate:g}/s", *_cells(drive(mine[name], seconds, CLIENTS, rate))


def _large(asked: argparse.Namespace) -> Iterator[Table]:
    """Whether a list takes as long when everything is ten times as much."""
    rows: list[tuple[str | float, ...]] = []
    for count in (asked.experiments, LARGE if asked.experiments == EXPERIMENTS else 2 * asked.experiments):
        rows += _sized("SQLite", count, None, asked.seconds)
        with Postgres() as server:
            rows += _sized("PostgreSQL", count, server.url, asked.seconds)
        yield Table(f"{LARGE_METRICS} metric rows an experiment, {os.cpu_count()} cores", _COLUMNS, list(rows))


def _sized(kind: str, count: int, database_url: str | None, seconds: float) -> Iterator[tuple[str | float, ...]]:
    start = time.perf_counter()
    with serving(count, LARGE_METRICS, database_url) as (api, settings, ids):
        print(f"{kind}, {count:,} experiments: filled in {time.perf_counter() - start:.0f} s", flush=True)
        mine = ours.clients(api.url, settings, ids)
        for name in ("list 50", "list 50 that succeeded", "get one"):
            drive(mine[name], seconds / 5, CLIENTS)
            rate = _LATENCIES.get(name, 20.0)
            yield f"{kind}, {count:,}: {name} at {rate:g}/s", *_cells(drive(mine[name], seconds, CLIENTS, rate))


if __name__ == "__main__":
    main()
