"""The child of a supervisor: trains one experiment and records it, `python -m worker.runner ID FENCE`. Not for people.

PyTorch is imported late, so that whatever is wrong with it is an outcome too. Without ID and FENCE it imports at once
and waits for them on standard input; it touches no device before.
"""

import argparse
import gc
import logging
import os
import signal
import sys
import threading
import traceback
from contextlib import suppress

from ncmix.jobs.states import Lease, LeaseLostError, Reason
from worker import leash
from worker.outcome import Outcome, write

_LOG = logging.getLogger("runner")


def main() -> int:
    """Run the experiment, then say over the pipe how it ended; without a word the supervisor takes it for a crash."""
    parser = argparse.ArgumentParser(prog="python -m worker.runner")
    parser.add_argument("experiment", nargs="?")
    parser.add_argument("fence", type=int, nargs="?")
    parser.add_argument("--outcome", type=int, required=True, help="descriptor of a pipe")
    parser.add_argument("--leash", type=int, required=True, help="descriptor of a pipe")
    arguments = parser.parse_args()
    for descriptor in (arguments.outcome, arguments.leash):
        os.set_inheritable(descriptor, False)
    leash.die_with_holder(arguments.leash)
    # Of what is imported nothing is garbage, and to look for it takes a sixth of the time.
    gc.disable()
    stop = _stop_on_sigterm()
    lease = Lease(arguments.experiment, arguments.fence) if arguments.experiment else _given()
    outcome = _run(lease, stop) if lease else None
    if outcome is None:
        return 1
    os.write(arguments.outcome, write(outcome))
    return 0


def _given() -> Lease | None:
    """The lease of a child that was started ahead of its task, once it comes; None if none will."""
    # What cannot be imported is said by `_run`: then there is an experiment to say it of.
    with suppress(ImportError):
        import worker.training  # noqa: F401, PLC0415

        if os.environ.get("CUDA_VISIBLE_DEVICES"):
            # What a GPU runs is compiled; to load the compiler takes another second.
            import torch._dynamo  # noqa: F401, PLC0415
    experiment, _, fence = sys.stdin.readline().partition(" ")
    return Lease(experiment, int(fence)) if fence else None


def _stop_on_sigterm() -> threading.Event:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    return stop


def _run(lease: Lease, stop: threading.Event) -> Outcome | None:
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s")
    try:
        from worker.training import train  # noqa: PLC0415 - takes seconds, and may fail
    except ImportError as error:
        traceback.print_exc()
        return Outcome("failed", Reason("error", f"The training code cannot be loaded: {error}."))
    gc.freeze()
    gc.enable()
    try:
        return train(lease, stop)
    except LeaseLostError as error:
        _LOG.error("%s", error)
        return None


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    sys.stdout.flush()
    # Everything is on record. To take PyTorch apart would take a second or more, in which the slot cannot go on.
    os._exit(status)
