"""Several slots on one machine: a worker process each, started again when one dies, stopped together."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from types import FrameType

from worker.leash import Leash
from worker.mps import Mps
from worker.places import Place

_LOG = logging.getLogger(__name__)
_LOOK_SECONDS = 0.2
_SHORTEST_REST, _LONGEST_REST = 1.0, 60.0


class Member:
    """The process of one slot; after a death it rests, longer each time unless it had lived for long."""

    def __init__(self, place: Place, words: Sequence[str], leash: Leash, environment: Mapping[str, str]) -> None:
        self._place, self._words, self._leash, self._environment = place, words, leash, environment
        self._rest, self._next = _SHORTEST_REST, 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def look(self) -> None:
        """Start it if it is not there, and may be."""
        now = time.monotonic()
        if self._process is not None and (status := self._process.poll()) is not None:
            _LOG.error("the slot on %s has ended with status %d; again in %g s", self._place, status, self._rest)
            self._process, self._next = None, now + self._rest
            self._rest = min(2 * self._rest, _LONGEST_REST)
        if self._process is None and now >= self._next:
            self._start()

    def _start(self) -> None:
        slot = {"NCMIX_SLOTS": "+".join(self._place.gpus) or "cpu"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "worker", *self._words, f"--leash={self._leash.watched}"],
            env={**os.environ, **self._place.environment, **self._environment, **slot},
            stdin=subprocess.DEVNULL,
            pass_fds=(self._leash.watched,),
        )

    def stop(self) -> None:
        """Tell it to stop; returns at once."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()

    def join(self) -> None:
        """Wait until it is gone."""
        if self._process is not None:
            self._process.wait()


class Fleet:
    """The slots of this machine."""

    def __init__(self, places: Sequence[Place], words: Sequence[str], mps: Mps | None = None) -> None:
        """
        Args:
            places: one a slot.
            words: what each process is told besides its place.
            mps: what lets them share a GPU at the same time.
        """
        self._leash, self._mps = Leash(), mps
        self._members = [Member(p, words, self._leash, mps.environment(p) if mps else {}) for p in places]
        self._stopping = False

    def serve(self) -> int:
        """Keep every slot running until SIGTERM or SIGINT; gives the exit status.

        Raises:
            MpsError: what lets slots share a GPU has died and does not start again; the slots have stopped then.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        try:
            while not self._stopping:
                self._look()
                time.sleep(_LOOK_SECONDS)
        finally:
            for member in self._members:
                member.stop()
            for member in self._members:
                member.join()
        return 0

    def _look(self) -> None:
        if self._mps is not None:
            self._mps.look()
        for member in self._members:
            member.look()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self._stopping = True
