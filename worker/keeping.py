"""The checkpoints of the experiment at hand: found when its attempt begins, written when they are due."""

import logging
from functools import partial
from typing import Any

import torch

from ncmix.checkpoint import KEPT, Checkpoint, CheckpointError, Checkpoints, Rhythm, Saved, load
from ncmix.jobs import checkpoints, queries
from ncmix.jobs.database import Database, patiently
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease
from ncmix.jobs.tables import CheckpointFile
from ncmix.manifest import surroundings
from ncmix.spec import Spec
from ncmix.train import Training

_LOG = logging.getLogger("runner")


class Keeper:
    """Keeps the checkpoints of one experiment: the file, then its row, and then away with what is superseded."""

    def __init__(self, database: Database, lease: Lease, settings: Settings) -> None:
        self._database, self._lease = database, lease
        self._store, self._patience = settings.checkpoint_dir, settings.lease_seconds
        self._files = Checkpoints(checkpoints.folder(self._store, lease.experiment_id))
        self._rhythm = Rhythm()
        self._last: tuple[int, int] | None = None

    def begin(self, spec: Spec, device: torch.device) -> Checkpoint | None:
        """What to go on from: the furthest checkpoint that is whole; the record drops everything behind it.

        Raises:
            CheckpointError: the spec extends a run, and no checkpoint of that run's end is left.
            LeaseLostError: the lease is not held any more.
        """
        found, row = self._first_usable(patiently(self._rows, self._patience), spec, device.type)
        if found is None and spec.extends:
            raise CheckpointError(
                f"It goes on where run {spec.extends.key[:12]}… ended, but no checkpoint of that end is left."
            )
        self._files.sweep(patiently(partial(self._begin, row, surroundings(device)), self._patience))
        if found:
            self._last = found.epoch, found.step
            _LOG.info("goes on from the checkpoint of epoch %d, step %d", found.epoch, found.step)
        return found

    def _rows(self) -> list[CheckpointFile]:
        with self._database.reading() as session:
            return checkpoints.usable(session, queries.get(session, self._lease.experiment_id))

    def _first_usable(
        self, rows: list[CheckpointFile], spec: Spec, device: str
    ) -> tuple[Checkpoint | None, CheckpointFile | None]:
        for row in rows:
            try:
                found = load(Saved(self._store / row.path, row.epoch, row.step, row.sha256, row.size))
                found.check(spec, device)
            except CheckpointError as error:
                _LOG.warning("%s", error)
            else:
                return found, row
        return None, None

    def _begin(self, row: CheckpointFile | None, ran_on: dict[str, Any]) -> frozenset[str]:
        with self._database.transaction() as session:
            return checkpoints.begin(session, self._lease, row, ran_on)

    def consider(self, training: Training, *, epoch_ends: bool) -> None:
        """Take a checkpoint if one is due."""
        if self._rhythm.due(epoch_ends=epoch_ends):
            self.take(training)

    def take(self, training: Training, keep: int = KEPT) -> None:
        """Take a checkpoint, unless the training stands where the last one was taken, or has not begun.

        Raises:
            OSError: it cannot be written.
            LeaseLostError: the lease is not held any more: the file is left over.
        """
        now = training.checkpoint()
        if not now.begun or self._last == (now.epoch, now.step):
            return
        with self._rhythm.taking():
            saved = self._files.write(now)
            file = checkpoints.File(saved.path.name, saved.epoch, saved.step, saved.sha256, saved.size)
            self._files.sweep(patiently(partial(self._record, file, keep), self._patience))
        self._last = now.epoch, now.step

    def _record(self, file: checkpoints.File, keep: int) -> frozenset[str]:
        with self._database.transaction() as session:
            return checkpoints.record(session, self._lease, file, keep)
