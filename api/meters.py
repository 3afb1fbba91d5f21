"""What Prometheus reads: the record in numbers, asked at most every other second, and how long requests take."""

import logging
import threading
import time
from collections.abc import Iterable, Iterator

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ncmix.jobs import figures
from ncmix.jobs.database import Database
from ncmix.jobs.figures import Figures
from ncmix.jobs.queue import QUEUES
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import STATES

_LOG = logging.getLogger(__name__)
_KEPT_SECONDS, _SETTLE_SECONDS = 2.0, 2.0
# Else there would be a series beside each counter that says when it began.
disable_created_metrics()
_BUCKETS = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Meters:
    """Every metric of this process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.requests = Histogram(
            "ncmix_http_seconds",
            "Time to the beginning of an answer",
            ("method", "route", "status"),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self.viewers = Gauge("ncmix_stream_viewers", "Streams of experiments under way", registry=self._registry)

    def follow(self, database: Database, settings: Settings) -> None:
        """Report on this record from now on."""
        self._registry.register(Record(database, settings))

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)


class Record(Collector):
    """The record in numbers. Many may ask: it is read once in a while. Counters begin at 0 with this process."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database, self._lease_seconds = database, settings.lease_seconds
        self._lock, self._until = threading.Lock(), 0.0
        self._last: int | None = None
        self._read: Figures | None = None
        # In no registry: they are brought up to date and given out in one go.
        self._events = Counter("ncmix_events", "What happened to experiments", ("kind",), registry=None)
        self._deaths = Counter("ncmix_deaths", "Attempts that ended badly", ("reason",), registry=None)
        self._epochs = Counter("ncmix_epochs", "Epochs put on record", registry=None)
        self._starts = Counter("ncmix_starts", "Starts of experiments, first and further", registry=None)

    def describe(self) -> Iterable[Metric]:
        """Nothing: to register must not read."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Everything, as it was at most some seconds ago."""
        with self._lock:
            if time.monotonic() >= self._until:
                self._read = self._ask()
                self._until = time.monotonic() + _KEPT_SECONDS
            read = self._read
        yield _gauge("ncmix_record_up", "Whether the database answers", [((), 1.0 if read else 0.0)])
        if read:
            yield from _gauges(read, self._lease_seconds)
        for counter in (self._events, self._deaths, self._epochs, self._starts):
            yield from counter.collect()

    def _ask(self) -> Figures | None:
        try:
            with self._database.reading() as session:
                if self._last is None:
                    self._last = figures.newest(session)
                happened = figures.happened(session, self._last, _SETTLE_SECONDS)
                read = figures.figures(session)
        except (DBAPIError, PoolTimeoutError) as error:
            _LOG.warning("The record cannot be measured: %s", error)
            return None
        self._count(happened)
        return read

    def _count(self, happened: figures.Happened) -> None:
        self._last = happened.last
        for kind, count in happened.kinds.items():
            self._events.labels(kind).inc(count)
        for reason, count in happened.deaths.items():
            self._deaths.labels(reason).inc(count)
        self._epochs.inc(happened.kinds["epoch"])
        self._starts.inc(happened.kinds["claimed"])


def _gauges(read: Figures, lease_seconds: float) -> Iterator[Metric]:
    counts = [((state, queue), read.experiments.get((state, queue), 0)) for state in STATES for queue in QUEUES]
    yield _gauge("ncmix_experiments", "Experiments on record", counts, "state", "queue")
    waiting = [((queue,), read.oldest_queued.get(queue, 0.0)) for queue in QUEUES]
    yield _gauge("ncmix_oldest_queued_seconds", "How long the oldest has been waiting", waiting, "queue")
    ages = [lease_seconds - held.left_seconds for held in read.held]
    yield _gauge(
        "ncmix_lease_age_seconds", "The longest time since a lease was renewed", [((), max(ages, default=0.0))]
    )
    expired = sum(held.left_seconds < 0 for held in read.held)
    yield _gauge("ncmix_leases_expired", "Leases that ran out and are not taken away yet", [((), expired)])
    charged = max((held.attempt for held in read.held), default=0)
    yield _gauge("ncmix_attempt", "The highest attempt among those that run", [((), charged)])
    memory: dict[str, float] = {}
    for held in read.held:
        memory[held.worker] = memory.get(held.worker, 0.0) + held.gpu_bytes
    sizes = [((worker,), size) for worker, size in sorted(memory.items())]
    yield _gauge("ncmix_gpu_bytes", "What the trainings of a worker hold of its GPU", sizes, "worker")
    duties = [((name,), left) for name, left in sorted(read.duties.items())]
    yield _gauge("ncmix_duty_seconds", "How long a duty is held yet; below 0 by nobody", duties, "duty")


def _gauge(name: str, text: str, values: Iterable[tuple[tuple[str, ...], float]], *labels: str) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for words, value in values:
        family.add_metric(words, value)
    return family


class Latencies:
    """ASGI middleware that measures every request by the template of its route."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app, self._meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and look at the clock when its answer begins."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start = time.perf_counter()

        def measure(status: int) -> None:
            route = getattr(scope.get("route"), "path", "none")
            labelled = self._meters.requests.labels(scope["method"], route, str(status))
            labelled.observe(time.perf_counter() - start)

        async def timed(message: Message) -> None:
            if message["type"] == "http.response.start":
                measure(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, timed)
        except Exception:
            # Answered further out, with a 500.
            measure(500)
            raise
