"""How long from a request to its first epoch: `python -m benchmarks.latency`; a table, and build/bench/latency.json.

A real API and a real worker on SQLite, one toy experiment after the other: each is submitted to an idle worker, with a
spare child that has loaded PyTorch, and without.
"""

import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import httpx2

from benchmarks import report
from ncmix.client import Client
from ncmix.jobs.migrate import migrate
from ncmix.jobs.settings import Settings
from tests.servers import Api, Worker, wait_for
from tests.toys import toy

REPEATS = 5
GOAL = 1.0
STEPS = ("request answered", "claimed by a worker", "training begins", "first epoch on record", "all")


def measure(warm: bool, repeats: int) -> list[float]:
    """Median seconds of every step, and of all of them."""
    with TemporaryDirectory(prefix="ncmix-bench-") as folder:
        environment = {"NCMIX_HOME": folder, "NCMIX_WARM": "1" if warm else "0"}
        migrate(Settings.from_environment(environment).database_url)
        with Api(environment) as api, Worker(environment) as worker, Client(api.url) as client:
            wait_for(lambda: "ready." in worker.log, "The start of the worker", 60.0)
            rounds = [_one(client, worker, warm, seed) for seed in range(repeats)]
    return [median(column) for column in zip(*rounds, strict=True)]


def _one(client: Client, worker: Worker, warm: bool, seed: int) -> list[float]:
    if warm:
        wait_for(lambda: _idle(worker), "The spare child", 60.0)
    start = time.time()
    experiment = client.submit(toy(seed=seed, epochs=1)).id
    answered = time.time()
    wait_for(lambda: client.experiment(experiment).ended, "The end", 120.0)
    found = httpx2.get(f"{client.url}/api/v1/experiments/{experiment}/events").json()["items"]
    at = {event["kind"]: datetime.fromisoformat(event["at"]).timestamp() for event in found}
    moments = [start, answered, at["claimed"], at["started"], at["epoch"]]
    return [after - before for before, after in pairwise(moments)] + [at["epoch"] - start]


def _idle(worker: Worker) -> bool:
    """Whether the spare child has loaded everything and sleeps."""
    pids = worker.children()
    return len(pids) == 1 and "pipe" in Path(f"/proc/{pids[0]}/wchan").read_text()


def main() -> None:
    """Measure, print, write."""
    cold, warm = measure(False, REPEATS), measure(True, REPEATS)
    title = f"From a request to its first epoch on record, seconds, median of {REPEATS} (goal: {GOAL:g} with a spare)"
    rows = list(zip(STEPS, cold, warm, strict=True))
    table = report.Table(title, ("step", "without a spare child", "with one"), rows)
    report.show(table)
    report.write("latency", [table], repeats=REPEATS)


if __name__ == "__main__":
    main()
