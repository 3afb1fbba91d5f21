"""The process that trains: in a group of its own, leashed to this one, its output and its last word read by pipes."""

import os
import selectors
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Self

from ncmix.jobs.states import Lease
from worker.leash import Leash
from worker.outcome import Outcome, read

# The command of a child, given its lease, the descriptor for its outcome, and the one of its leash.
Command = Callable[[Lease, int, int], Sequence[str]]
# The same without a lease, or with one in it.
Words = Callable[[int, int], Sequence[str]]
_PIECE = 2**16
_PLAIN = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1"}


def runner(lease: Lease, outcome: int, leash: int) -> list[str]:
    """The command that trains."""
    words = [lease.experiment_id, str(lease.fence), f"--outcome={outcome}", f"--leash={leash}"]
    return [sys.executable, "-m", "worker.runner", *words]


def waiting_runner(outcome: int, leash: int) -> list[str]:
    """The command that trains once it is given a lease."""
    return [sys.executable, "-m", "worker.runner", f"--outcome={outcome}", f"--leash={leash}"]


class Child:
    """A child process; on leaving the context its whole process group is gone."""

    def __init__(self, words: Words, environment: Mapping[str, str] | None = None, *, waits: bool = False) -> None:
        """
        Args:
            words: the command, given the descriptors for its outcome and of its leash.
            environment: variables that it has besides those of this process.
            waits: whether it will be given its lease.
        """
        self.output = b""
        self._ended = False
        self._word = b""
        self._leash = Leash()
        self._outcome, told = os.pipe()
        try:
            self._process = subprocess.Popen(
                words(told, self._leash.watched),
                stdin=subprocess.PIPE if waits else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(told, self._leash.watched),
                start_new_session=True,
                env={**os.environ, **_PLAIN, **(environment or {})},
            )
        finally:
            os.close(told)
        self._pipes = selectors.DefaultSelector()
        for pipe, sink in ((_descriptor(self._process.stdout), self._hear), (self._outcome, self._listen)):
            os.set_blocking(pipe, False)
            self._pipes.register(pipe, selectors.EVENT_READ, sink)

    def give(self, lease: Lease) -> bool:
        """Let one that waits train this experiment; False if it is dead."""
        if self._process.stdin is None:
            raise RuntimeError("The child was started with its lease.")
        try:
            with self._process.stdin as told:
                told.write(f"{lease.experiment_id} {lease.fence}\n".encode())
        except BrokenPipeError:
            return False
        return True

    @property
    def pid(self) -> int:
        """Its process id, which is also that of its group."""
        return self._process.pid

    def wait(self, seconds: float) -> bool:
        """Read what it writes for at most `seconds`, less if it says something; whether it is still there."""
        for key, _ in self._pipes.select(seconds):
            self._drain(key)
        return self._process.poll() is None

    def take_output(self) -> bytes:
        """What it wrote since this was last called."""
        output, self.output = self.output, b""
        return output

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the whole group, unless it has ended."""
        if self._ended:
            return  # Its number may already be another's.
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def end(self) -> int:
        """Kill what is left of the group and wait; gives the status: below zero the number of a signal."""
        # The group outlives its leader if that left processes behind.
        self.tell(signal.SIGKILL)
        status = self._process.wait()
        self._ended = True
        for key in list(self._pipes.get_map().values()):
            self._drain(key)
        return status

    @property
    def outcome(self) -> Outcome | None:
        """Its last word; None if it died without one."""
        return read(self._word)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End it, and let go of its pipes."""
        self.end()
        self._leash.close()
        self._pipes.close()
        os.close(self._outcome)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe:
                pipe.close()

    def _drain(self, key: selectors.SelectorKey) -> None:
        """Read all there is now; at its end the pipe is not looked at again."""
        with suppress(BlockingIOError):
            while piece := os.read(key.fd, _PIECE):
                key.data(piece)
            self._pipes.unregister(key.fd)

    def _hear(self, piece: bytes) -> None:
        self.output += piece

    def _listen(self, piece: bytes) -> None:
        self._word += piece


def _descriptor(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise RuntimeError("The child was started without a pipe for its output.")
    return pipe.fileno()
