"""Our side: requests to a real API, and epochs put on record as the child of a worker does it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from benchmarks.service import corpus, filling
from benchmarks.service.driving import Action, Client, Request, http
from ncmix.jobs import recording
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings

ROOT = "/api/v1/experiments"


def clients(url: str, settings: Settings, ids: list[str]) -> dict[str, Client]:
    """A client for each thing that is measured."""
    seeds, few = count(1_000_000), ids[-corpus.LONG :]
    return {
        "get one": http(url, lambda i: Request("GET", f"{ROOT}/{ids[i * 7919 % len(ids)]}")),
        "list 50": http(url, lambda i: Request("GET", f"{ROOT}?limit=50")),
        "list 50 that succeeded": http(url, lambda i: Request("GET", f"{ROOT}?limit=50&state=succeeded")),
        "metric history": http(url, lambda i: Request("GET", _history(few[i % len(few)]))),
        "write an epoch": writer(settings),
        "submit": http(url, lambda i: Request("POST", ROOT, json.dumps(asked(next(seeds))).encode())),
    }


def _history(experiment_id: str) -> str:
    return f"{ROOT}/{experiment_id}/metrics?name={corpus.NAMES[7]}&split=train"


def asked(seed: int) -> dict[str, object]:
    """What somebody posts."""
    return {"dataset": "cifar10", "model": "resnet18", "mix": "mixup", "epochs": 350, "seed": seed}


def writer(settings: Settings) -> Client:
    """Each with a connection and a lease of its own, as every training process has."""
    seeds = count(10)

    @contextmanager
    def client() -> Iterator[Action]:
        database, epochs = Database(settings.database_url), count(1)
        lease = filling.claimed(database, settings, next(seeds))
        try:
            yield lambda number: recording.record(database, lease, corpus.snapshot(next(epochs)))
        finally:
            database.dispose()

    return client
