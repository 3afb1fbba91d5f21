"""One experiment under a lease: starts its child, keeps the lease, obeys requests, and puts its end on record."""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Literal

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from ncmix.jobs import lifecycle, queries, recording
from ncmix.jobs.database import Database, brief, patiently
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Claim, LeaseLostError, Reason, State
from ncmix.spec import Limits
from worker.child import Child, Command, runner

_LOG = logging.getLogger(__name__)
_FLUSH_SECONDS = 1.0
_SIGNALS = {number.value: number.name for number in signal.Signals}

# Why the child was told to stop: `yield` because of a request (cancel, pause, the worker's own end), which the
# experiment's state tells; `wall` for its time limit; `lost` when this worker may not, or cannot, write any more.
Asked = Literal["yield", "wall", "lost"]


class Timer:
    """Says when something is due again."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._next = time.monotonic() + seconds

    def due(self) -> bool:
        """Whether the time has come; if so it begins anew."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._seconds
        return True


class Supervisor:
    """Runs one claimed experiment to its end, or to the point where another worker has to go on."""

    def __init__(
        self,
        claim: Claim,
        database: Database,
        settings: Settings,
        stopping: threading.Event,
        command: Command = runner,
    ) -> None:
        """
        Args:
            claim: what was claimed just now.
            database: where the end is written.
            settings: all the times.
            stopping: set when this worker shall end.
            command: how to start the child; another one in tests.
        """
        self._claim, self._lease = claim, claim.lease
        self._database, self._settings, self._stopping = database, settings, stopping
        self._command = command
        now = time.monotonic()
        self._lease_end = now + settings.lease_seconds
        # Leniently: a row from before there were limits stays runnable.
        self._wall_hours: float = claim.spec.get("limits", {}).get("wall_hours", Limits().wall_hours)
        self._wall = now + 3600 * self._wall_hours
        self._renewal, self._look = Timer(settings.renew_seconds), Timer(settings.watch_seconds)
        self._flush = Timer(_FLUSH_SECONDS)
        self._kept = 0
        self._asked: Asked | None = None
        self._patience = 0.0
        self._silent = False

    def run(self) -> State | None:
        """Gives the state it leaves the experiment in; None if the lease was lost: then that is not ours to know."""
        _LOG.info("experiment %s: attempt %d begins", self._lease.experiment_id, self._claim.attempt)
        with Child(self._command, self._lease) as child:
            while child.wait(self._pause()):
                self._attend(child)
            status = child.end()
            self._write_log(child)
            state = self._settle(child, status)
        _LOG.info("experiment %s: attempt %d ends: %s", self._lease.experiment_id, self._claim.attempt, state)
        return state

    def _pause(self) -> float:
        return min(0.2, self._settings.watch_seconds)

    def _attend(self, child: Child) -> None:
        if self._asked is None and self._stopping.is_set():
            self._ask(child, "yield")
        if self._asked is None and time.monotonic() > self._wall:
            self._ask(child, "wall")
        if self._asked != "lost" and self._look.due():
            self._check_lease(child)
        if self._flush.due():
            self._write_log(child)
        if self._asked != "lost" and time.monotonic() > self._lease_end - self._settings.margin_seconds:
            _LOG.error("experiment %s: the lease cannot be renewed; its child is killed", self._lease.experiment_id)
            self._ask(child, "lost")
        if self._asked and time.monotonic() > self._patience:
            child.tell(signal.SIGKILL)

    def _check_lease(self, child: Child) -> None:
        before = time.monotonic()
        with self._tolerant(child):
            if self._renewal.due():
                with self._database.transaction() as session:
                    state = lifecycle.renew(session, self._lease, self._settings)
                # Counted from before the question: the database's count began later.
                self._lease_end = before + self._settings.lease_seconds
            else:
                with self._database.reading() as session:
                    state = queries.state_under(session, self._lease)
            if state != "running" and self._asked is None:
                self._ask(child, "yield")

    def _ask(self, child: Child, why: Asked) -> None:
        """Tell the child to stop: it has the grace period, but none when the lease is lost."""
        now = time.monotonic()
        self._patience = now if why == "lost" else now + self._settings.grace_seconds
        self._asked = why
        child.tell(signal.SIGKILL if why == "lost" else signal.SIGTERM)

    @contextmanager
    def _tolerant(self, child: Child) -> Iterator[None]:
        """A database that does not answer is asked again later; one that says no ends the child."""
        try:
            yield
            self._silent = False
        except LeaseLostError as error:
            _LOG.warning("%s Its child is killed.", error)
            self._ask(child, "lost")
        except (OperationalError, InterfaceError) as error:
            if not self._silent:
                _LOG.warning("experiment %s: the database does not answer: %s", self._lease.experiment_id, brief(error))
            self._silent = True

    def _write_log(self, child: Child) -> None:
        """Put on record what the child wrote, up to the limit; what could not be written is kept for the next time."""
        output = child.take_output()
        kept = output[: max(0, self._settings.log_limit - self._kept)]
        if len(kept) < len(output) and self._kept <= self._settings.log_limit:
            kept += b"\n[The output of this attempt goes on, but is not kept: it is over NCMIX_LOG_LIMIT.]\n"
        if not kept or self._asked == "lost":
            return
        child.output = kept + child.output
        with self._tolerant(child):
            with self._database.transaction() as session:
                recording.append_log(session, self._lease, kept)
            child.output = child.output[len(kept) :]
            self._kept += len(kept)

    def _settle(self, child: Child, status: int) -> State | None:
        if self._asked == "lost":
            return None
        try:
            return patiently(partial(self._write_end, child, status), self._lease_end - time.monotonic())
        except (LeaseLostError, OperationalError, InterfaceError) as error:
            _LOG.warning("experiment %s: its end cannot be written: %s", self._lease.experiment_id, error)
            return None

    def _write_end(self, child: Child, status: int) -> State:
        with self._database.transaction() as session:
            return self._end(session, child, status)

    def _end(self, session: Session, child: Child, status: int) -> State:
        outcome = child.outcome
        if outcome and outcome.kind == "finished":
            return lifecycle.finish(session, self._lease)
        if outcome and outcome.reason:
            return lifecycle.fail(session, self._lease, outcome.reason)
        if self._asked == "wall":
            sentence = f"It ran longer than limits.wall_hours allows, which is {self._wall_hours:g}."
            return lifecycle.fail(session, self._lease, Reason("wall_time", sentence))
        if self._asked == "yield":
            return lifecycle.release(session, self._lease)
        return lifecycle.crash(session, self._lease, _death(status), self._settings)


def _death(status: int) -> Reason:
    if status >= 0:
        return Reason("crashed", f"The training process ended with status {status} and gave no reason; see the log.")
    name = _SIGNALS.get(-status, f"signal {-status}")
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return Reason("killed", f"The training process was killed by {name}{hint}.")
