"""A process learns that another has ended by the end of a pipe that nobody else holds."""

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

_PR_SET_PDEATHSIG = 1


class Leash:
    """A pipe. One process keeps the `holder` end, the other watches: it hears of `drop` and of the holder's death."""

    def __init__(self) -> None:
        self.watched, self._holder = os.pipe()

    def drop(self) -> None:
        """Let the other process know that it shall end; also called by a process that is not to hold it."""
        if self._holder >= 0:
            holder, self._holder = self._holder, -1
            os.close(holder)

    def close(self) -> None:
        """Close both ends."""
        self.drop()
        with suppress(OSError):
            os.close(self.watched)


def watch(fd: int, on_end: Callable[[], None]) -> None:
    """Call `on_end` from a thread of its own as soon as the holder of the leash has dropped it or is dead."""

    def wait() -> None:
        # Nothing is ever written: reading returns when the last holder is gone.
        os.read(fd, 1)
        on_end()

    threading.Thread(target=wait, name="leash", daemon=True).start()


def die_with_parent() -> None:
    """From now on this process is killed when its parent is gone."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def die_with_holder(fd: int) -> None:
    """From now on this process, the leader of its group, is killed with its whole group when the holder is gone."""
    # At once, even while some library holds the interpreter's lock; the thread below also takes the group.
    die_with_parent()
    watch(fd, lambda: os.killpg(os.getpgrp(), signal.SIGKILL))
