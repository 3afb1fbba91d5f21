"""One slot: claims and runs experiments one after the other, and looks after lost hints and expired leases."""

import logging
import os
import socket
import threading
from collections.abc import Sequence

from ncmix.jobs import duties, journal, lifecycle, queries
from ncmix.jobs.database import Database
from ncmix.jobs.heartbeat import Heartbeat
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Claim
from worker.child import Command, runner
from worker.places import Place
from worker.spare import Spare
from worker.supervise import Supervisor

_LOG = logging.getLogger(__name__)


class Slot:
    """Owns the connections of its process: to be made behind the fork."""

    def __init__(self, settings: Settings, place: Place, queues: Sequence[str], command: Command = runner) -> None:
        """
        Args:
            settings: all the times.
            place: where its experiments run.
            queues: the queues it serves.
            command: how to start a child; another one in tests.
        """
        self._settings, self._place, self._queues, self._command = settings, place, queues, command
        self._database = Database.of(settings)
        self._stopping, self._busy = threading.Event(), threading.Lock()
        # Other commands are those of tests.
        self._spare = Spare(place.environment) if settings.warm and command is runner else None
        self._heartbeat = Heartbeat(settings.heartbeat_dir, f"worker on {place}")
        self.name = f"{socket.gethostname()}:{os.getpid()}"

    def start(self) -> None:
        """Begin to look, in threads of its own, for expired leases, for experiments of which no hint came, and for
        what is kept no longer.
        """
        self._prepare()
        every = {self.reap: self._settings.reap_seconds, self.poll: self._settings.poll_seconds}
        for duty, seconds in {**every, self.keep: duties.KEEP_SECONDS}.items():
            duties.every(seconds, duty, self._stopping)
        _LOG.info("%s serves the queues %s on %s", self.name, ", ".join(self._queues), self._place)

    def stop(self) -> None:
        """Claim nothing more; what runs is stopped and released. Returns at once."""
        self._stopping.set()

    def join(self) -> None:
        """Wait until nothing runs any more."""
        with self._busy:
            if self._spare:
                self._spare.close()

    def drain(self) -> int:
        """Run experiments until nothing is queued or `stop` is called; gives how many.

        Waits its turn: while this slot is busy a further hint stays where other workers can take it.
        """
        count = 0
        with self._busy:
            self.reap()
            while not self._stopping.is_set() and (claim := self._claim()):
                self._run(claim)
                count += 1
            if count:
                self._prepare()
        return count

    def _prepare(self) -> None:
        """Nothing is queued: the next one shall not wait for PyTorch to load."""
        if self._spare and not self._stopping.is_set():
            self._spare.prepare()

    def reap(self) -> None:
        """Take experiments from workers that are dead."""
        duties.reap(self._database, self._settings, self.name)
        # While an experiment runs its supervisor beats: this thread would not know if that one hung.
        if not self._busy.locked():
            self._heartbeat.beat()

    def keep(self) -> None:
        """Remove what is kept no longer."""
        duties.keep(self._database, self._settings, self.name)

    def poll(self) -> None:
        """Run what waits without a hint, if this slot is free. Asks no broker: that may be what is broken."""
        if self._busy.locked():
            return
        with self._database.reading() as session:
            waiting = queries.waiting_queues(session, self._queues)
        if waiting:
            self.drain()

    def _run(self, claim: Claim) -> None:
        with journal.about(experiment=claim.lease.experiment_id, attempt=claim.attempt, worker=self.name):
            Supervisor(
                claim,
                self._database,
                self._settings,
                self._stopping,
                self._command,
                self._place.environment,
                self._spare,
                self._heartbeat.beat,
            ).run()

    def _claim(self) -> Claim | None:
        with self._database.transaction() as session:
            return lifecycle.claim(session, self._queues, self.name, self._settings, gpus=len(self._place.gpus))
