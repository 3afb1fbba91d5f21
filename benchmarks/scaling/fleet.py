"""Simulated workers: every statement that a real one sends, by the same code and when it is due."""

import heapq
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import redis

from benchmarks.service import corpus
from ncmix.jobs import duties, lifecycle, queries, recording
from ncmix.jobs.database import Database
from ncmix.jobs.queue import Hints
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, LeaseLostError
from ncmix.results import Tick

CONNECTIONS = 10
# An experiment of ten epochs of 10 to 30 s each, then the next one.
EPOCHS, SHORTEST, LONGEST = 10, 10.0, 30.0
_OUTPUT = b"2026-01-01 12:00:00 INFO epoch 12 in 20.03 s, recorded in 0.01 s: " + b"train.nc1=0.1234 " * 120 + b"\n"


@dataclass
class Worker:
    """A simulated worker: what it holds, and how far that is."""

    name: str
    lease: Lease
    epoch: int = 0
    step: int = 0


@dataclass(frozen=True)
class Task:
    """Something that a worker does: how many seconds until it does it again, and how."""

    every: Callable[[], float]
    act: Callable[[Worker], object]


@dataclass
class Fleet:
    """Everything that workers do, each thing when it is due."""

    settings: Settings
    database: Database
    hints: Hints
    broker: "redis.Redis"
    workers: list[Worker] = field(default_factory=list[Worker])
    seeds: Iterator[int] = field(default_factory=lambda: count(1))
    epochs: list[float] = field(default_factory=list[float])

    def hire(self, size: int) -> None:
        """Submit and claim an experiment for each of so many workers."""
        specs = [(corpus.spec(next(self.seeds)), "gpu") for _ in range(size)]
        with self.database.transaction() as session:
            lifecycle.submit_all(session, specs)
        for number in range(size):
            name = f"host{number}:1"
            done = random.randrange(EPOCHS)  # noqa: S311 - no secret
            self.workers.append(Worker(name, self._claim(name), done))

    def _claim(self, name: str) -> Lease:
        with self.database.transaction() as session:
            claim = lifecycle.claim(session, ["gpu", "cpu"], name, self.settings)
        if claim is None:
            raise RuntimeError("There is nothing to claim.")
        return claim.lease

    def tasks(self) -> list[Task]:
        """What a worker does again and again."""
        s = self.settings
        return [
            Task(lambda: s.watch_seconds, self._look),
            Task(lambda: progress_seconds(s), self._progress),
            Task(lambda: s.renew_seconds, self._renew),
            Task(lambda: s.reap_seconds, lambda worker: duties.reap(self.database, s, worker.name)),
            Task(lambda: random.uniform(SHORTEST, LONGEST), self._epoch),  # noqa: S311 - no secret
        ]

    def _look(self, worker: Worker) -> None:
        with self.database.reading() as session:
            queries.sign_under(session, worker.lease)

    def _progress(self, worker: Worker) -> None:
        worker.step += 1
        with self.database.passing() as session:
            recording.progress(session, worker.lease, Tick(worker.epoch + 1, worker.step, 391))

    def _renew(self, worker: Worker) -> None:
        with self.database.passing() as session:
            lifecycle.renew(session, worker.lease, self.settings)

    def _epoch(self, worker: Worker) -> None:
        worker.epoch, worker.step = worker.epoch + 1, 0
        start = time.perf_counter()
        recording.record(self.database, worker.lease, corpus.snapshot(worker.epoch))
        self.epochs.append(time.perf_counter() - start)
        with self.database.transaction() as session:
            recording.append_log(session, worker.lease, _OUTPUT)
        if worker.epoch == EPOCHS:
            self._next(worker)

    def _next(self, worker: Worker) -> None:
        """The end of its experiment; somebody submits another, and the hint finds this worker."""
        with self.database.transaction() as session:
            lifecycle.finish(session, worker.lease)
            lifecycle.submit(session, corpus.spec(next(self.seeds)), "gpu")
        self.hints.wake("gpu")
        self.broker.rpop("gpu")
        worker.lease, worker.epoch = self._claim(worker.name), 0


class Diary:
    """Has every worker do everything when it is due; threads share the work, and do late what they find overdue."""

    def __init__(self, fleet: Fleet, seconds: float) -> None:
        self._lock, self._order = threading.Lock(), count()
        self._start = time.perf_counter()
        self._end = self._start + seconds
        self._due = [
            (self._start + random.random() * task.every(), next(self._order), worker, task)  # noqa: S311 - no secret
            for worker in fleet.workers
            for task in fleet.tasks()
        ]
        heapq.heapify(self._due)
        self._errors: list[Exception] = []
        self.late: list[float] = []

    def run(self) -> float:
        """Until the time is over; gives how many things were done a second.

        Raises:
            RuntimeError: one of them failed.
        """
        threads = [threading.Thread(target=self._go_on) for _ in range(min(CONNECTIONS, len(self._due)))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._errors:
            raise RuntimeError(f"A worker failed: {self._errors[0]}") from self._errors[0]
        return len(self.late) / (time.perf_counter() - self._start)

    def _go_on(self) -> None:
        try:
            with self._lock:
                at, _, worker, task = heapq.heappop(self._due)
            while at < self._end and time.perf_counter() < self._end and not self._errors:
                # Not for something to happen: this is when it is due.
                time.sleep(max(0.0, at - time.perf_counter()))
                self._do(task, worker)
                with self._lock:
                    self.late.append(time.perf_counter() - at)
                    again = (at + task.every(), next(self._order), worker, task)
                    at, _, worker, task = heapq.heappushpop(self._due, again)
        except Exception as error:
            self._errors.append(error)

    def _do(self, task: Task, worker: Worker) -> None:
        lease = worker.lease
        try:
            task.act(worker)
        except LeaseLostError:
            # Else another thread has just brought this experiment to its end; a real worker has no pulse by then.
            if worker.lease == lease and worker.epoch < EPOCHS:
                raise


def progress_seconds(settings: Settings) -> float:
    """How often a training says how far it is."""
    return max(1.0, settings.watch_seconds)
