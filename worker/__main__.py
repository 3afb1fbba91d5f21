"""`python -m worker [--queues cpu,gpu]`: a slot on every GPU of this machine, or one on the CPU (see NCMIX_SLOTS)."""

import argparse
import logging
import os
import signal
import sys

from ncmix.jobs import journal
from ncmix.jobs.queue import QUEUES
from ncmix.jobs.settings import Settings, SettingsError
from worker import leash, mps
from worker.app import serve
from worker.fleet import Fleet
from worker.places import places

_LOG = logging.getLogger("worker")


def _queues(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    unknown = [name for name in names if name not in QUEUES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{unknown or text!r} is not known; allowed are {', '.join(QUEUES)}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument(
        "--queues", type=_queues, help="which queues every slot serves (default: cpu,gpu on a GPU, cpu on the CPU)"
    )
    parser.add_argument("--leash", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Serve until SIGTERM: then stop the children, give back their leases, and end within the grace period."""
    arguments = _arguments()
    journal.set_up("worker", os.environ)
    if arguments.leash is not None:
        # A slot of a fleet stops with it.
        os.set_inheritable(arguments.leash, False)
        leash.watch(arguments.leash, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        settings = Settings.from_environment()
    except SettingsError as error:
        _LOG.error("%s", error)
        return 2
    here = places(settings, os.environ)
    if len(here) == 1:
        return serve(settings, here[0], arguments.queues or here[0].queues)
    _LOG.info("%d slots, on %s", len(here), ", ".join(map(str, here)))
    words = [f"--queues={','.join(arguments.queues)}"] if arguments.queues else []
    try:
        with mps.serving(here if settings.mps else (), os.environ) as service:
            return Fleet(here, words, service).serve()
    except mps.MpsError as error:
        _LOG.error("%s", error)
        return 2


if __name__ == "__main__":
    sys.exit(main())
