"""A whole service for tests of its clients: a real API and a real worker on SQLite, in processes of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncmix.jobs.migrate import migrate
from tests.conftest import environment_of
from tests.servers import Api, Worker


@contextmanager
def whole_service(folder: Path, worker: str = "worker") -> Iterator[Api]:
    """The API of a service whose data are under `folder`; its worker trains on the CPU, or is the module `worker`."""
    home = folder / "home"
    home.mkdir(parents=True)
    database = f"sqlite:///{home / 'ncmix.db'}"
    migrate(database)
    environment = environment_of(home, database) | {"NCMIX_WARM": "1"}
    words = ("--queues", "cpu") if worker == "worker" else ()
    with Api(environment) as api, Worker(environment, *words, module=worker):
        yield api
