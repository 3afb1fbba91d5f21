"""Celery around a slot: it hears the hints and keeps one pool process, in which the slot lives."""

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from celery import Celery, signals
from sqlalchemy.exc import DBAPIError

from ncmix.jobs.database import brief
from ncmix.jobs.queue import WAKE, celery_app, is_redis
from ncmix.jobs.settings import Settings
from worker.child import Command, runner
from worker.leash import Leash, watch
from worker.places import Place
from worker.slot import Slot

_LOG = logging.getLogger(__name__)


class Host:
    """What the pool process needs, kept until it is forked."""

    def __init__(self, make: Callable[[], Slot]) -> None:
        self._make = make
        self._leash = Leash()
        self._slot: Slot | None = None

    def begin(self, **_: Any) -> None:
        """In the new pool process: make the slot, and let it stop when the main process says so or is dead."""
        self._leash.drop()
        self._slot = self._make()
        watch(self._leash.watched, self._slot.stop)
        self._slot.start()

    def wake(self, *_: Any) -> None:
        """The task: a hint came."""
        if self._slot is None:
            raise RuntimeError("A hint was handed to a process without a slot.")
        try:
            self._slot.drain()
        except DBAPIError as error:
            _LOG.warning("A hint could not be followed; the poll will: %s", brief(error))

    def leave(self, **_: Any) -> None:
        """In the pool process, before it exits: Celery knows nothing of an experiment that the poll found."""
        if self._slot is not None:
            self._slot.stop()
            self._slot.join()

    def end(self, **_: Any) -> None:
        """In the main process, when it is told to stop: so must the slot, and Celery waits for it."""
        self._leash.drop()


def build(settings: Settings, make: Callable[[], Slot]) -> Celery:
    """Celery with our task, tied to a slot that its pool process will make."""
    app, host = celery_app(settings), Host(make)
    app.conf.update(
        worker_disable_prefetch=is_redis(settings),
        worker_prefetch_multiplier=1,
        # Concerns late acknowledgement, which we do not use, and keeps Celery from warning of it.
        worker_cancel_long_running_tasks_on_connection_loss=True,
        # Spawned processes would not inherit the leash.
        worker_pool_start_method="fork",
    )
    app.task(host.wake, name=WAKE)
    signals.worker_process_init.connect(host.begin, weak=False)
    signals.worker_process_shutdown.connect(host.leave, weak=False)
    signals.worker_shutting_down.connect(host.end, weak=False)
    # Ours is set up already.
    signals.setup_logging.connect(_keep_logging, weak=False)
    return app


def serve(settings: Settings, place: Place, queues: Sequence[str], command: Command = runner) -> int:
    """Run until told to stop; gives the exit status. Tests have another command of the child."""
    for noisy in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    # Where Celery prints its farewell, past all logging.
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    worker = build(settings, lambda: Slot(settings, place, queues, command)).Worker(
        pool="prefork",
        concurrency=1,
        queues=list(queues),
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
    return worker.exitcode or 0


def _keep_logging(**_: Any) -> None:
    """Celery leaves logging alone if somebody listens to this signal."""
