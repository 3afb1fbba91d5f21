"""A seeded storm over a whole service, and what must be true of its record afterwards: `make chaos SEED=1 MINUTES=2`.

Two workers with toy children, an API, and the servers under them are killed, frozen and started again at random, while
experiments are submitted, cancelled, paused, resumed and retried over HTTP. Every answer is kept; in the end everything
is mended, the queue is run empty, and the invariants are asserted from the answers and the event rows alone.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import select

from ncmix.jobs.states import FINAL, MOVES
from ncmix.jobs.tables import Event, Experiment, MetricValue
from tests.faults.stage import Stage
from tests.servers import Api, Postgres, Redis, Worker, wait_for
from tests.toys import toy

_TOYS = ("epoch=0.01", "epoch=0.01", "epoch=0.01", "epoch=0.1", "epoch=0.02 die=2", "fail=2", "epoch=0.05 deaf")


@dataclass
class Report:
    """What was done and what came of it."""

    seed: int
    submitted: dict[str, float] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    events: int = 0
    attempts: int = 0

    def __str__(self) -> str:
        lines = [
            f"seed {self.seed}: {len(self.submitted)} experiments answered with 201, {self.faults.total()} faults",
            f"  faults   {_listed(self.faults)}",
            f"  answers  {_listed(self.answers)}",
            f"  ended    {_listed(self.states)}",
            f"  reasons  {_listed(self.reasons)}",
            f"  {self.events} events, {self.attempts} starts; nothing lost, every invariant held",
        ]
        return "\n".join(lines)


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.most_common())


class Storm:
    """The random schedule; each of its steps is a request or a fault."""

    def __init__(self, stage: Stage, seed: int, postgres: Postgres | None = None, redis: Redis | None = None) -> None:
        self.random = random.Random(seed)
        self.stage, self.report = stage, Report(seed)
        self.postgres, self.redis = postgres, redis
        self.api: Api = stage.api()[0]
        self.workers: list[Worker] = [stage.toys(), stage.toys()]
        self.http = httpx2.Client(base_url=f"{self.api.url}/api/v1", timeout=15.0)

    def run(self, seconds: float, least: int) -> Report:
        """Rage for so long, and until so many experiments were submitted; then mend everything and wait for the end."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or len(self.report.submitted) < least:
            self._step()
        self._mend()
        wait_for(self._all_ended, "The end of every experiment", 600.0, every=0.5)
        wait_for(lambda: not self._children(), "The end of every child", 30.0)
        check(self.stage, self.report)
        self.http.close()
        return self.report

    def _step(self) -> None:
        requests: list[tuple[Callable[[], None], int]] = [
            (self._submit, 12),
            (lambda: self._ask("cancel"), 3),
            (lambda: self._ask("pause"), 2),
            (lambda: self._ask("resume"), 3),
            (lambda: self._ask("retry"), 1),
        ]
        faults: list[tuple[Callable[[], None], int]] = [
            (self._kill_worker, 1),
            (self._stop_worker, 1),
            (self._freeze_worker, 1),
            (self._kill_child, 2),
            (self._kill_api, 1),
            (self._break_redis, 1),
            (self._break_postgres, 1),
        ]
        # About one fault in fifteen steps: the service has to get something done as well.
        steps = requests if self.random.random() > 1 / 15 else faults
        (step,) = self.random.choices([s for s, _ in steps], [w for _, w in steps])
        step()
        self._no_child_outlives_its_job()
        time.sleep(self.random.uniform(0.0, 0.15))

    def _no_child_outlives_its_job(self) -> None:
        """The end is written when the child is gone; one whose worker is taken for dead may be on its way out."""
        if self.random.random() > 0.2:
            return
        with self.stage.database.reading() as session:
            ended = session.execute(
                select(Experiment.id, Experiment.fence).where(
                    Experiment.reason_code.in_(("finished", "error", "killed")), Experiment.state.in_(FINAL)
                )
            ).all()
        alive = {words for pid in self._children() if (words := _words(pid))}
        left = {f"{experiment} {fence}" for experiment, fence in ended} & alive
        assert not left, f"a child has outlived its job: {left}"

    def _submit(self) -> None:
        number = len(self.report.submitted) + sum(self.report.answers.values())
        how = self.random.choice(_TOYS)
        spec = toy(name=how, seed=number, epochs=self.random.randint(2, 12), priority=self.random.randint(0, 2))
        key = {"Idempotency-Key": f"{self.report.seed}-{number}"}
        answer = self._send("submit", "/experiments", json=spec.model_dump(mode="json"), headers=key)
        if answer is not None and answer.status_code == 201:
            self.report.submitted[answer.json()["id"]] = time.monotonic()

    def _ask(self, verb: str) -> None:
        if not self.report.submitted:
            return
        # Mostly one of the newest: the others have ended.
        ids = list(self.report.submitted)
        experiment = self.random.choice(ids[-20:] if self.random.random() < 0.8 else ids)
        answer = self._send(verb, f"/experiments/{experiment}/{verb}")
        if answer is not None and answer.status_code == 201:
            self.report.submitted[answer.json()["id"]] = time.monotonic()

    def _send(self, verb: str, path: str, **options: Any) -> httpx2.Response | None:
        try:
            answer = self.http.post(path, **options)
        except httpx2.TransportError as error:
            self.report.answers[f"{verb}: {type(error).__name__}"] += 1
            return None
        self.report.answers[f"{verb}: {answer.status_code}"] += 1
        assert answer.status_code in (200, 201, 202, 404, 409, 503), answer.text
        return answer

    def _kill_worker(self) -> None:
        self.report.faults["worker killed"] += 1
        worker = self.random.choice(self.workers)
        worker.kill()
        worker.start()

    def _stop_worker(self) -> None:
        self.report.faults["worker stopped (SIGTERM)"] += 1
        worker = self.random.choice(self.workers)
        worker.stop(60.0)
        worker.start()

    def _freeze_worker(self) -> None:
        """For longer than a lease, with the child."""
        self.report.faults["worker frozen past its lease"] += 1
        worker = self.random.choice(self.workers)
        children = self._children()
        worker.send(signal.SIGSTOP)
        frozen = [pid for pid in children if _signal(pid, signal.SIGSTOP)]
        time.sleep(self.stage.settings.lease_seconds * 1.5)
        worker.send(signal.SIGCONT)
        for pid in frozen:
            _signal(pid, signal.SIGCONT)

    def _kill_child(self) -> None:
        if children := self._children():
            self.report.faults["child killed"] += 1
            _signal(self.random.choice(children), signal.SIGKILL)

    def _kill_api(self) -> None:
        self.report.faults["API killed"] += 1
        self.api.kill()
        self.api.start()

    def _break_redis(self) -> None:
        if self.redis is None:
            return
        if self.random.random() < 0.5:
            self.report.faults["Redis emptied"] += 1
            self.redis.flush()
            return
        self.report.faults["Redis killed"] += 1
        self.redis.stop(signal.SIGKILL)
        time.sleep(self.random.uniform(0.1, 1.0))
        self.redis.start()

    def _break_postgres(self) -> None:
        if self.postgres is None:
            return
        self.report.faults["PostgreSQL restarted"] += 1
        self.postgres.stop()
        time.sleep(self.random.uniform(0.1, 1.0))
        self.postgres.start()

    def _children(self) -> list[int]:
        return self.workers[0].children("toy_child")

    def _mend(self) -> None:
        """Let what is paused go on, so that everything can end."""
        for worker in self.workers:
            worker.send(signal.SIGCONT)
        with self.stage.database.reading() as session:
            paused = list(session.scalars(select(Experiment.id).where(Experiment.state.in_(("paused", "pausing")))))
        for experiment in paused:
            self._send("resume", f"/experiments/{experiment}/resume")

    def _all_ended(self) -> bool:
        with self.stage.database.reading() as session:
            left = session.scalars(select(Experiment.state).where(Experiment.state.not_in(FINAL)))
            states = set(left)
        if states & {"paused", "pausing"}:
            self._mend()
        return not states


def _words(pid: int) -> str:
    """The experiment and the fence of a toy child."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return ""
    return " ".join(words[3:5])


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def check(stage: Stage, report: Report) -> None:
    """Assert the promise from the record, and count into the report."""
    with stage.database.reading() as session:
        rows = {row.id: row for row in session.scalars(select(Experiment))}
        events: dict[str, list[Event]] = {experiment: [] for experiment in rows}
        for event in session.scalars(select(Event).order_by(Event.id)):
            events[event.experiment_id].append(event)
        values = Counter(
            session.execute(
                select(MetricValue.experiment_id, MetricValue.epoch, MetricValue.split, MetricValue.name)
            ).all()
        )
    lost = set(report.submitted) - set(rows)
    assert not lost, f"answered with 201 and lost: {sorted(lost)}"
    assert all(count == 1 for count in values.values()), "a metric has two values"
    for experiment, row in rows.items():
        _check_one(row, events[experiment])
    report.states.update(row.state for row in rows.values())
    report.reasons.update(str(row.reason_code) for row in rows.values())
    report.events = sum(map(len, events.values()))
    report.attempts = sum(row.fence for row in rows.values())


def _check_one(row: Experiment, events: list[Event]) -> None:
    states = [event.state for event in events]
    assert states[0] == "queued", row.id
    assert states[-1] == row.state, row.id
    assert row.state in FINAL, row.id
    assert row.reason_code, f"{row.id} is {row.state} without a reason"
    assert all(after == before or after in MOVES[before] for before, after in pairwise(states)), (row.id, states)
    # Final once: nothing follows a final state.
    assert [state in FINAL for state in states].count(True) == 1, (row.id, states)
    # One accepted writer at a time: the fence never falls, rises by claims alone, and each claim has its own.
    fences = [event.fence for event in events]
    assert fences == sorted(fences), (row.id, fences)
    assert [event.fence for event in events if event.kind == "claimed"] == list(range(1, row.fence + 1)), row.id
    # Each start records its epochs once and in order.
    for fence in range(1, row.fence + 1):
        epochs = [event.data["epoch"] for event in events if event.kind == "epoch" and event.fence == fence]
        assert epochs == list(range(1, len(epochs) + 1)), (row.id, fence, epochs)
    if row.state == "succeeded":
        last = [event.data["epoch"] for event in events if event.kind == "epoch"][-1]
        assert last == row.epochs == row.epoch, row.id
