"""The queue of hints: a message says only that in some queue an experiment waits. The rows are the truth.

A lost hint costs a poll interval, a doubled one a query that finds nothing.
"""

import logging
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import redis
from celery import Celery
from kombu.entity import Queue as Route

from ncmix.jobs.settings import Queue, Settings
from ncmix.spec import Spec

QUEUES: tuple[Queue, ...] = ("cpu", "gpu")
WAKE = "ncmix.wake"
_FILES = "ncmix.jobs.hint_files:Transport"
_MOST_HINTS = 64

_LOG = logging.getLogger(__name__)


def queue_of(spec: Spec, settings: Settings) -> Queue:
    """The queue whose workers can run this spec."""
    match spec.device:
        case "cuda":
            return "gpu"
        case "cpu":
            return "cpu"
        case "auto":
            return settings.default_queue


def is_redis(settings: Settings) -> bool:
    """Whether hints go over Redis; else they are files."""
    return settings.broker_url.startswith("redis")


def celery_app(settings: Settings) -> Celery:
    """Celery as we use it: JSON, early acknowledgement, no results, no prefetching, no remote control."""
    app = Celery("ncmix", broker=settings.broker_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        # Over Redis without acknowledgements: one that times out would leave the worker deaf for ever.
        task_queues=[Route(name, routing_key=name, no_ack=is_redis(settings)) for name in QUEUES],
        task_default_queue=settings.default_queue,
        task_ignore_result=True,
        task_acks_late=False,
        task_publish_retry=False,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        # A frozen broker holds each sender for two seconds; they must not wait for one another as well.
        broker_pool_limit=64,
        # None: the one that the address names.
        broker_transport=None if is_redis(settings) else _FILES,
        broker_transport_options=_transport_options(settings),
    )
    return app


class Hints:
    """Sends hints. Keep one for a process: it holds connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app = celery_app(settings)

    def wake(self, queue: str) -> bool:
        """Tell the workers of a queue that something waits in it; to be called after the commit.

        Never raises and takes some seconds at most: without the hint a worker finds the experiment by its poll. Gives
        whether the hint was sent.
        """
        try:
            self._app.send_task(WAKE, args=[queue], queue=queue, retry=False)
        except Exception as error:
            _LOG.warning("The hint for queue %s was not sent (%s); a worker's poll will find it.", queue, error)
            return False
        return True

    def wake_all(self, queues: Iterable[str]) -> None:
        """Tell of many experiments that wait, a hint for each up to what a fleet of workers can take up at once."""
        for queue, waiting in Counter(queues).items():
            # A broker that did not take one would keep us waiting for each of the others.
            all(self.wake(queue) for _ in range(min(waiting, _MOST_HINTS)))

    def can_be_sent(self) -> bool:
        """Whether the broker answers, found out in two seconds at most."""
        if not is_redis(self._settings):
            return os.access(self._settings.broker_folder, os.W_OK)
        try:
            with redis.Redis.from_url(self._settings.broker_url, socket_timeout=1, socket_connect_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def close(self) -> None:
        """Close the connections."""
        self._app.close()


def _transport_options(settings: Settings) -> dict[str, Any]:
    if is_redis(settings):
        # One try of two seconds: a frozen broker must not freeze whoever submits.
        return {"socket_timeout": 2, "socket_connect_timeout": 2, "max_retries": 1, "interval_start": 0}
    folders = {name: settings.broker_folder / name for name in ("messages", "control")}
    for folder in folders.values():
        _make(folder)
    return {
        "data_folder_in": str(folders["messages"]),
        "data_folder_out": str(folders["messages"]),
        "control_folder": str(folders["control"]),
        "polling_interval": 0.1,
    }


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
