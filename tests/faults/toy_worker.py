"""A real worker whose children are toys; `NCMIX_TEST_CHILD=instant` makes them end at once without a record."""

import logging
import os
import sys
from pathlib import Path

from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease
from worker.app import serve
from worker.places import Place

HERE = Path(__file__).parent


def toy(lease: Lease, outcome: int, leash: int) -> list[str]:
    """A child that records epochs."""
    return [
        sys.executable, "-m", "tests.faults.toy_child", lease.experiment_id, str(lease.fence), str(outcome), str(leash),
    ]  # fmt: skip


def instant(_: Lease, outcome: int, leash: int) -> list[str]:
    """A child that has finished before it has begun."""
    return [sys.executable, str(HERE.parent / "worker" / "children.py"), "finish", str(outcome), str(leash)]


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    child = instant if os.environ.get("NCMIX_TEST_CHILD") == "instant" else toy
    sys.exit(serve(Settings.from_environment(), Place(), ["cpu"], child))
