"""A service of which a test starts the parts it needs, and the questions that tests ask of its record."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Self

from ncmix.client import Client
from ncmix.jobs import lifecycle, queries
from ncmix.jobs.database import Database
from ncmix.jobs.queue import Hints
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import State
from ncmix.jobs.tables import Experiment
from ncmix.results import MetricRow
from tests.jobs.helpers import get, submit
from tests.servers import Api, Worker, wait_for
from tests.toys import toy

PATIENCE = 90.0


class Stage:
    """Settings, a record, and the processes a test has started; all of them end with it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.settings = Settings.from_environment(environment)
        self.database = Database(self.settings.database_url)
        self._open = ExitStack()
        self._open.callback(self.database.dispose)

    def api(self, **variables: str) -> tuple[Api, Client]:
        """An API and a client of it."""
        api = self._open.enter_context(Api(self.environment | variables))
        return api, self._open.enter_context(Client(api.url))

    def worker(self, **variables: str) -> Worker:
        """A worker whose children really train."""
        return self._open.enter_context(Worker(self.environment | variables, "--queues", "cpu"))

    def toys(self, **variables: str) -> Worker:
        """A worker whose children record without training."""
        return self._open.enter_context(Worker(self.environment | variables, module="tests.faults.toy_worker"))

    def queue(self, how: str = "", **changes: Any) -> str:
        """A toy experiment on record, without a hint; `how` tells a toy child what to do."""
        return submit(self.database, toy(name=how, **changes)).id

    def hint(self, times: int = 1) -> None:
        """Wake workers, so often."""
        hints = Hints(self.settings)
        for _ in range(times):
            assert hints.wake("cpu")
        hints.close()

    def row(self, experiment: str) -> Experiment:
        """The experiment as it is now."""
        return get(self.database, experiment)

    def ask(self, verb: Callable[..., Any], experiment: str) -> State:
        """Pause, resume or cancel it."""
        with self.database.transaction() as session:
            return verb(session, experiment).state

    def cancel(self, experiment: str) -> State:
        """Cancel it."""
        return self.ask(lifecycle.cancel, experiment)

    def until(self, experiment: str, condition: Callable[[Experiment], object], what: str) -> Experiment:
        """The experiment once the condition holds."""
        wait_for(lambda: condition(self.row(experiment)), what, PATIENCE, every=0.05)
        return self.row(experiment)

    def epoch(self, experiment: str, epoch: int) -> Experiment:
        """The experiment once it has done so many epochs."""
        return self.until(experiment, lambda e: e.epoch >= epoch, f"Epoch {epoch}")

    def end(self, experiment: str) -> Experiment:
        """The experiment once it has ended."""
        return self.until(experiment, lambda e: e.finished is not None, f"The end of {experiment}")

    def kinds(self, experiment: str) -> Counter[str]:
        """How often what happened to it."""
        with self.database.reading() as session:
            return Counter(e.kind for e in queries.events(session, experiment))

    def metrics(self, experiment: str) -> list[MetricRow]:
        """Its metrics, each once."""
        with self.database.reading() as session:
            rows = queries.metrics(session, experiment)
        assert len({(r.epoch, r.split, r.name) for r in rows}) == len(rows)
        return rows

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
