"""`python -m worker [--queues cpu,gpu]`: one slot that runs one experiment at a time. Start more for more slots."""

import argparse
import logging
import sys

from ncmix.jobs.queue import QUEUES
from ncmix.jobs.settings import Settings, SettingsError
from worker.app import serve

_LOG = logging.getLogger("worker")


def _queues(text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    unknown = [name for name in names if name not in QUEUES]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{unknown or text!r} is not known; allowed are {', '.join(QUEUES)}")
    return names


def main() -> int:
    """Serve until SIGTERM: then stop the child, give back its lease, and end within the grace period."""
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--queues", type=_queues, default=QUEUES, help="which queues to serve (default: cpu,gpu)")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        return serve(Settings.from_environment(), arguments.queues)
    except SettingsError as error:
        _LOG.error("%s", error)
        return 2


if __name__ == "__main__":
    sys.exit(main())
