"""A stand-in for the training child, without PyTorch: it does what its first argument says, in milliseconds.

Run as `python children.py BEHAVIOUR OUTCOME_DESCRIPTOR LEASH_DESCRIPTOR`.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

from ncmix.jobs.states import Reason
from worker import leash
from worker.outcome import Outcome, write


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _finish(outcome: int) -> None:
    _say("all done")
    os.write(outcome, write(Outcome("finished")))


def _fail(outcome: int) -> None:
    os.write(outcome, write(Outcome("failed", Reason("data_missing", "There are no pictures."))))


def _no_gpu(outcome: int) -> None:
    os.write(outcome, write(Outcome("failed", Reason("device_missing", "The driver is too old."))))


def _exit(_: int) -> None:
    _say("Traceback: something broke")
    sys.exit(3)


def _killed(_: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _half_a_word(outcome: int) -> None:
    os.write(outcome, b'{"kind": "fin')


def _wait(_: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    _say("ready")
    signal.pause()


def _finish_when_told(outcome: int) -> None:
    signal.signal(signal.SIGTERM, lambda *_: os.write(outcome, write(Outcome("finished"))))
    _say("ready")
    signal.pause()


def _deaf(_: int) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _say("ready")
    while True:
        time.sleep(60)


def _leave_a_process_behind(outcome: int) -> None:
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    _say(f"left {left.pid} end")
    os.write(outcome, write(Outcome("finished")))


def _talk(outcome: int) -> None:
    _say("x" * 1000)
    os.write(outcome, write(Outcome("finished")))


BEHAVIOURS: dict[str, Callable[[int], None]] = {
    "finish": _finish,
    "fail": _fail,
    "no gpu": _no_gpu,
    "exit": _exit,
    "killed": _killed,
    "half a word": _half_a_word,
    "wait": _wait,
    "finish when told": _finish_when_told,
    "deaf": _deaf,
    "leave a process behind": _leave_a_process_behind,
    "talk": _talk,
}

if __name__ == "__main__":
    leash.die_with_holder(int(sys.argv[3]))
    BEHAVIOURS[sys.argv[1]](int(sys.argv[2]))
