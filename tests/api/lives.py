"""The life of experiments by the same verbs that workers use, without a worker."""

from dataclasses import dataclass

from ncmix.jobs import curves, lifecycle, recording
from ncmix.jobs.database import Database
from ncmix.jobs.queue import QUEUES, queue_of
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, Reason
from ncmix.results import ArraySet, Metric, Snapshot
from tests.ncmix.plots import synthetic
from tests.toys import toy


@dataclass(frozen=True)
class Lives:
    """Submits, claims, records and ends experiments of small specs; `seed` tells them apart."""

    database: Database
    settings: Settings

    def queued(self, seed: int = 0, **changes: object) -> str:
        """An experiment that waits."""
        spec = toy(seed=seed, **changes)
        with self.database.transaction() as session:
            return lifecycle.submit(session, spec, queue_of(spec, self.settings)).experiment.id

    def running(self, seed: int = 0, epochs: int = 0, probed: tuple[int, ...] = (), **changes: object) -> Lease:
        """An experiment under way, with results of the first `epochs` epochs."""
        experiment_id = self.queued(seed, **changes)
        lease = self.next(epochs, probed)
        assert lease.experiment_id == experiment_id
        return lease

    def next(self, epochs: int = 0, probed: tuple[int, ...] = ()) -> Lease:
        """What waits longest, under way, with results of the first `epochs` epochs."""
        with self.database.transaction() as session:
            claim = lifecycle.claim(session, QUEUES, "test", self.settings)
        assert claim is not None
        self.record(claim.lease, *range(1, epochs + 1), probed=probed)
        return claim.lease

    def record(self, lease: Lease, *epochs: int, probed: tuple[int, ...] = ()) -> None:
        """The results of some epochs, with a geometry probe and the like at those in `probed`."""
        for epoch in epochs:
            sets = _sets() if epoch in probed else ()
            recording.record(self.database, lease, Snapshot(epoch, _metrics(epoch), sets, seconds=2.0))

    def keep(self, lease: Lease, epoch: int, *sets: ArraySet) -> None:
        """The results of an epoch with these array sets."""
        recording.record(self.database, lease, Snapshot(epoch, _metrics(epoch), sets, seconds=2.0))

    def log(self, lease: Lease, text: bytes) -> None:
        """Something its process printed."""
        with self.database.transaction() as session:
            recording.append_log(session, lease, text)

    def finish(self, lease: Lease) -> str:
        """The end, successful; gives the id."""
        with self.database.transaction() as session:
            lifecycle.finish(session, lease)
        return self._over(lease)

    def fail(self, lease: Lease, reason: Reason) -> str:
        """The end, failed; gives the id."""
        with self.database.transaction() as session:
            lifecycle.fail(session, lease, reason)
        return self._over(lease)

    def _over(self, lease: Lease) -> str:
        curves.keep(self.database, lease.experiment_id)
        return lease.experiment_id

    def done(self, seed: int = 0, epochs: int = 3, probed: tuple[int, ...] = (), **changes: object) -> str:
        """An experiment that has succeeded, with its results; gives the id."""
        return self.finish(self.running(seed, epochs, probed, **changes))


def _sets() -> tuple[ArraySet, ...]:
    summary, spread = synthetic.summary(0.5), synthetic.spread(0.5)
    return synthetic.probe(per_pair=20).to_set(), summary.to_set(), spread.to_set()


def _metrics(epoch: int) -> tuple[Metric, ...]:
    return (
        Metric("running", "loss", 2.0 / epoch),
        Metric("train", "accuracy", 1 - 0.5 / epoch),
        Metric("train", "nc1", 4.0 / epoch),
        Metric("train", "nc3", None, "undefined"),
        Metric("test", "nc1", 8.0 / epoch),
    )
