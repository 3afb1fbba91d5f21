"""What fleets of workers do to PostgreSQL and Redis: `python -m benchmarks.scaling`; build/bench/scaling.json.

Workers are simulated: no training, no processes, but every statement a real one sends, by the same code and at the same
intervals, from a pool of threads that share connections as behind pgbouncer. PostgreSQL writes to the disk as it does
by default; it, Redis and the simulation share this machine.
"""

import argparse
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import redis
from sqlalchemy import text

from benchmarks import report
from benchmarks.report import Table
from benchmarks.scaling.fleet import CONNECTIONS, LONGEST, SHORTEST, Diary, Fleet, progress_seconds
from benchmarks.service.driving import quantiles
from ncmix.jobs import lifecycle, queries
from ncmix.jobs.database import Database
from ncmix.jobs.migrate import migrate
from ncmix.jobs.queue import Hints
from ncmix.jobs.settings import Settings
from tests.servers import Postgres, Redis, Server, wait_for
from tests.servers import Worker as RealWorker
from tests.toys import toy

FLEETS, SECONDS = (1, 10, 100, 1000), 40.0
# How often the largest fleet, measured once more, looks what is asked of it; a cancel then takes as long.
SELDOM = 15.0
Numbers = tuple[float | None, ...]


class Durable(Postgres):
    """PostgreSQL as it comes: a commit is on the disk."""

    def command(self) -> list[str]:
        """As in tests, but safe."""
        safe = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "shared_buffers": "512MB"}
        return [*super().command(), *(f"--{name}={value}" for name, value in safe.items())]


def cpu_seconds(server: Server) -> float:
    """What a server has used so far, with all its processes, those that have ended included."""
    used = 0
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            facts = file.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(file.parent.name) == server.pid:
            used += sum(map(int, facts[11:15]))
        elif int(facts[1]) == server.pid:
            used += sum(map(int, facts[11:13]))
    return used / os.sysconf("SC_CLK_TCK")


def measure(size: int, seconds: float, watch: float) -> tuple[str, Numbers, Numbers]:
    """Load and milliseconds of a fleet of this size on servers of its own, that looks so often what is asked of it."""
    with TemporaryDirectory(prefix="ncmix-bench-") as folder, Durable() as postgres, Redis() as broker:
        migrate(postgres.url)
        environment = {"NCMIX_HOME": folder, "NCMIX_DATABASE_URL": postgres.url, "NCMIX_BROKER_URL": broker.url}
        settings = replace(Settings.from_environment(environment), watch_seconds=watch)
        database, hints = Database(settings.database_url), Hints(settings)
        with redis.Redis(port=broker.port) as client:
            fleet = Fleet(settings, database, hints, client)
            fleet.hire(size)
            diary = Diary(fleet, seconds)
            servers = [partial(cpu_seconds, server) for server in (postgres, broker)]
            meters = [partial(_wal, database), *servers, time.process_time]
            before = [meter() for meter in meters]
            rate = diary.run()
            wal, *cores = ((meter() - old) / seconds for meter, old in zip(meters, before, strict=True))
        hints.close()
        database.dispose()
    load = (demand(size, settings), rate, *cores, wal)
    return _name(size, watch), load, (*_quantiles(diary.late), *_quantiles(fleet.epochs))


def demand(size: int, settings: Settings) -> float:
    """How many things so many workers do a second."""
    intervals = (settings.watch_seconds, progress_seconds(settings), settings.renew_seconds, settings.reap_seconds)
    return size * (sum(1 / seconds for seconds in intervals) + 2 / (SHORTEST + LONGEST))


def held_by_a_worker() -> Table:
    """How many connections a real worker with one slot has while it trains."""
    with TemporaryDirectory(prefix="ncmix-bench-") as folder, Postgres() as postgres, Redis() as broker:
        migrate(postgres.url)
        environment = {"NCMIX_HOME": folder, "NCMIX_DATABASE_URL": postgres.url, "NCMIX_BROKER_URL": broker.url}
        settings = Settings.from_environment(environment)
        database = Database(settings.database_url)
        with database.transaction() as session:
            experiment = lifecycle.submit(session, toy(epochs=100_000), "cpu").experiment.id
        with RealWorker(environment), redis.Redis(port=broker.port) as client:
            wait_for(lambda: _epochs(database, experiment) > 50, "Training", 120.0)
            row = (float(_connections(database)), float(len(client.client_list()) - 1))
        database.dispose()
    return Table("Connections of a worker with one slot that trains", ("PostgreSQL", "Redis"), [row])


def _quantiles(seconds: list[float]) -> Numbers:
    return quantiles(seconds) if seconds else (None, None)


def _epochs(database: Database, experiment: str) -> int:
    with database.reading() as session:
        return queries.get(session, experiment).epoch


def _connections(database: Database) -> int:
    """All but the one that asks."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'ncmix' AND pid <> pg_backend_pid()"
    with database.reading() as session:
        return session.scalar(text(others)) or 0


def _wal(database: Database) -> float:
    """Megabytes of write-ahead log so far."""
    with database.reading() as session:
        return float(session.scalar(text("SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")) or 0) / 1e6


LOAD = ("workers", "asked/s", "done/s", "PostgreSQL, cores", "Redis, cores", "simulation, cores", "log, MB/s")
WAITED = ("workers", "anything p50, ms", "p99", "epoch p50, ms", "p99")


def _name(size: int, watch: float) -> str:
    return f"{size}" if watch == 1 else f"{size}, looking every {watch:g} s"


def main() -> None:
    """Simulate, print, write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="how long each fleet works")
    parser.add_argument("--fleets", type=int, nargs="+", default=FLEETS, help="their sizes")
    asked = parser.parse_args()
    rows = [measure(size, asked.seconds, 1.0) for size in asked.fleets]
    rows.append(measure(max(asked.fleets), asked.seconds, SELDOM))
    title = f"Fleets of workers against PostgreSQL and Redis, {CONNECTIONS} connections, {os.cpu_count()} cores for all"
    load = Table(title, LOAD, [(name, *numbers) for name, numbers, _ in rows])
    late = Table("From when it was due until it was done", WAITED, [(name, *numbers) for name, _, numbers in rows])
    tables = [load, late, held_by_a_worker()]
    for table in tables:
        report.show(table)
    report.write("scaling", tables, seconds=asked.seconds, connections=CONNECTIONS)


if __name__ == "__main__":
    main()
