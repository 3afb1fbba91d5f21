"""Runs the `ncmix` command in processes of its own that begin within milliseconds: PyTorch is loaded once for all."""

import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext
from multiprocessing.forkserver import _forkserver
from multiprocessing.process import BaseProcess
from multiprocessing.resource_tracker import _resource_tracker


def _main(words: list[str], log: str) -> None:
    from ncmix.cli import main  # noqa: PLC0415 - in the new process

    with open(log, "a") as file:  # noqa: PTH123
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.exit(main(words))


class Commands:
    """Starts commands."""

    def __init__(self, context: ForkServerContext, log: str) -> None:
        self._context, self._log = context, log

    def start(self, *words: object) -> BaseProcess:
        """`ncmix WORDS` in a process of its own, its output in the log."""
        process = self._context.Process(target=_main, args=([str(word) for word in words], self._log))
        process.start()
        return process

    def run(self, *words: object) -> None:
        """The same to its end, which must be a good one."""
        process = self.start(*words)
        process.join()
        assert process.exitcode == 0, open(self._log).read()  # noqa: PTH123, SIM115


@contextmanager
def commands(log: str) -> Iterator[Commands]:
    """A server that forks a process a command; it ends with the block."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["ncmix.train", "ncmix.rundir", "ncmix.cli", "sklearn.datasets"])
    try:
        yield Commands(context, log)
    finally:
        _forkserver._stop()
        _resource_tracker._stop()
