"""A stand-in for the training child that records as the real one does, without PyTorch: `ID FENCE OUTCOME LEASH`.

The name of the spec says how it behaves, in words: `epoch=0.05` seconds an epoch, `deaf` to SIGTERM, `hang=3` for ever
in that epoch, `die=2` or `fail=2` in that one, `stage=2`: in its first attempt, for ever between the
arrays of that epoch.
"""

import os
import signal
import sys
import threading
import time

import numpy as np

from ncmix.jobs import checkpoints, features, queries, recording
from ncmix.jobs.database import Database, patiently
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, LeaseLostError, Reason
from ncmix.results import ArraySet, Tick
from tests.snapshots import snapshot
from worker import leash
from worker.outcome import Outcome, write


class Toy:
    """One attempt at one experiment."""

    def __init__(self, lease: Lease) -> None:
        settings = Settings.from_environment()
        self.lease, self.patience = lease, settings.lease_seconds
        self.database = Database(settings.database_url)
        with self.database.reading() as session:
            experiment = queries.get(session, lease.experiment_id)
        self.epochs = experiment.epochs
        words = [word.partition("=") for word in experiment.spec["name"].split()]
        self.how = {name: float(value or 1) for name, _, value in words}
        self.stop = threading.Event()
        signal.signal(signal.SIGTERM, signal.SIG_IGN if "deaf" in self.how else lambda *_: self.stop.set())

    def run(self) -> Outcome:
        """Record every epoch, unless the name of the spec says otherwise."""
        with self.database.transaction() as session:
            checkpoints.begin(session, self.lease, None)
        for epoch in range(1, self.epochs + 1):
            if epoch == self.how.get("fail"):
                return Outcome("failed", Reason("error", "It was told to fail."))
            self._misbehave(epoch)
            self.stop.wait(self.how.get("epoch", 0.01))
            patiently(lambda done=epoch: self._record(done), self.patience)
            sys.stdout.write(f"epoch {epoch}\n")
            sys.stdout.flush()
            if self.stop.is_set() and epoch < self.epochs:
                return Outcome("stopped")
        return Outcome("finished")

    def _record(self, epoch: int) -> None:
        with self.database.transaction() as session:
            recording.progress(session, self.lease, Tick(epoch, 1, 1))
        recording.record(self.database, self.lease, snapshot(epoch))

    def _misbehave(self, epoch: int) -> None:
        if epoch == self.how.get("die"):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.lease.fence > 1:
            self.how.pop("stage", None)
        if epoch == self.how.get("stage"):
            rows = np.zeros((1000, 100), np.float32)
            features.stage(self.database, self.lease, epoch, ArraySet("train", {"h": rows}))
        while epoch in (self.how.get("hang"), self.how.get("stage")):
            time.sleep(3600)


if __name__ == "__main__":
    leash.die_with_holder(int(sys.argv[4]))
    try:
        outcome = Toy(Lease(sys.argv[1], int(sys.argv[2]))).run()
    except LeaseLostError:
        sys.exit(1)
    os.write(int(sys.argv[3]), write(outcome))
