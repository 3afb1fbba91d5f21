"""A child started ahead: while its slot is idle it loads PyTorch, then waits for an experiment to train."""

import logging
import threading
from collections.abc import Mapping

from ncmix.jobs.states import Lease
from worker.child import Child, waiting_runner

_LOG = logging.getLogger(__name__)


class Spare:
    """Keeps at most one; nobody else's from the moment it is taken, and dead when this process is."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """
        Args:
            environment: variables that the child has besides those of this process.
        """
        self._environment = environment
        self._child: Child | None = None
        self._closed = False
        self._lock, self._wanted = threading.Lock(), threading.Event()
        # A thread that never ends: the system kills a child when the thread that started it is gone.
        threading.Thread(target=self._prepare_on, name="spare", daemon=True).start()

    def prepare(self) -> None:
        """Have one started, if there is none; returns at once."""
        self._wanted.set()

    def take(self, lease: Lease) -> Child | None:
        """The child, at work on this experiment; None if there is none: then one has to be started as usual."""
        with self._lock:
            child, self._child = self._child, None
        if child is None:
            return None
        # One that is still loading is further than one that has not begun.
        if child.wait(0.0) and child.give(lease):
            return child
        _LOG.warning("the spare child has died: %s", child.take_output().decode("utf-8", "replace")[-500:].strip())
        child.close()
        return None

    def close(self) -> None:
        """End it, and start no other."""
        with self._lock:
            self._closed = True
            child, self._child = self._child, None
        if child is not None:
            child.close()

    def _prepare_on(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._start()
            except OSError as error:
                _LOG.warning("a spare child cannot be started: %s", error)

    def _start(self) -> None:
        with self._lock:
            if self._child is None and not self._closed:
                self._child = Child(waiting_runner, self._environment, waits=True)
