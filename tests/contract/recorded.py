"""A real service that asks for a key, with something of everything on record, under the ids in OpenAPI's examples."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np

from ncmix.jobs import keys, lifecycle, sweeps
from ncmix.jobs.database import Database
from ncmix.jobs.exporting import Exported
from ncmix.jobs.lifecycle import submitting
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Reason
from ncmix.results import ArraySet
from ncmix.spec import expand, parse_sweep
from tests.api.lives import Lives
from tests.api.served import serving
from tests.conftest import environment_of
from tests.toys import toy

# The ids in the examples of api/parameters.py.
FIRST, SECOND = "0193b2a4f1c07d1e9a3c", "0193b2a4f1c19b22c4d0"


@dataclass(frozen=True)
class Service:
    """Where it is, a key that may do everything, and an exported experiment that is not on record there."""

    url: str
    key: str
    parcel: bytes


@contextmanager
def service(home: Path, database_url: str) -> Iterator[Service]:
    """A service on this database, which has our schema and no rows, until the block is left."""
    # So many requests in so short a time, many with a wrong key on purpose, nobody else sends.
    rates = {"NCMIX_CHANGE_RATE": "1000000/minute", "NCMIX_FAILURE_RATE": "1000000/minute"}
    environment = environment_of(home, database_url) | rates
    database = Database(database_url)
    try:
        key, parcel = _recorded(Lives(database, Settings.from_environment(environment)))
    finally:
        database.dispose()
    # There is a key: readyz would ask for it.
    with serving(environment, "/healthz") as served:
        yield Service(str(served.http.base_url), key, parcel)


def _recorded(lives: Lives) -> tuple[str, bytes]:
    parcel = _exported(lives)
    with _named(FIRST):
        lease = lives.running(1, epochs=2, probed=(1, 2), mix="mixup")
    lives.log(lease, b"epoch 1/3\nepoch 2/3\n")
    lives.keep(lease, 3, ArraySet("train", {"H": np.eye(6, 4, dtype=np.float16), "y": np.arange(6) % 4}))
    lives.finish(lease)
    with _named(SECOND):
        lives.done(2, epochs=3, probed=(3,))
    lives.fail(lives.running(3, epochs=1), Reason("diverged", "The loss is not finite."))
    lives.running(4, epochs=1)
    _swept(lives)
    lives.queued(5)
    with lives.database.transaction() as session:
        return keys.issue(session, "contract", "admin").text, parcel


def _exported(lives: Lives) -> bytes:
    """An experiment as a file; it leaves the record again."""
    exported = lives.done(0, epochs=2, probed=(2,), name="from elsewhere")
    parcel = b"".join(map(bytes, Exported.of(lives.database, exported).zip()))
    with lives.database.transaction() as session:
        lifecycle.delete(session, exported)
    return parcel


def _swept(lives: Lives) -> None:
    """Two of four cells of a sweep have succeeded, the others wait."""
    base = toy().model_dump(mode="json", exclude={"loss", "mix"})
    grid = {"loss": ["cross_entropy", "mse"], "mix": ["none", "mixup"]}
    definition = parse_sweep({"name": "four", "base": base, "grid": grid, "seeds": [6]})
    with lives.database.transaction() as session, patch.object(lifecycle, "new_ids", return_value=[FIRST]):
        sweeps.submit(session, definition, expand(definition), lives.settings)
    for _ in range(2):
        lives.finish(lives.next(epochs=3))


@contextmanager
def _named(experiment_id: str) -> Iterator[None]:
    with patch.object(submitting, "new_ids", return_value=[experiment_id]):
        yield


def variables(offered: Service, parcel: Path) -> dict[str, str]:
    """What `hooks.py` and `schemathesis.toml` read of the service; its parcel is written to the path."""
    parcel.write_bytes(offered.parcel)
    return {**os.environ, "NCMIX_TEST_KEY": offered.key, "NCMIX_TEST_PARCEL": str(parcel)}
