"""One experiment under a lease: starts its child, obeys requests, keeps its limits, and puts its end on record."""

import logging
import signal
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import Session

from ncmix.jobs import curves, lifecycle
from ncmix.jobs.database import Database, patiently
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import FINAL, Claim, LeaseLostError, Reason, State
from ncmix.spec import Limits
from worker.child import Child, Command, runner
from worker.pulse import Pulse
from worker.spare import Spare

_LOG = logging.getLogger(__name__)
_SIGNALS = {number.value: number.name for number in signal.Signals}

# Why the child was told to stop: `yield` because of a request (cancel, pause, the worker's own end), which the
# experiment's state tells; `wall` for its time limit; `stall` because the training did not move any more; `lost` when
# this worker may not, or cannot, write any more.
Asked = Literal["yield", "wall", "stall", "lost"]


class Supervisor:
    """Runs one claimed experiment to its end, or to the point where another worker has to go on."""

    def __init__(
        self,
        claim: Claim,
        database: Database,
        settings: Settings,
        stopping: threading.Event,
        command: Command = runner,
        environment: Mapping[str, str] | None = None,
        spare: Spare | None = None,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        """
        Args:
            claim: what was claimed just now.
            database: where the end is written.
            settings: all the times.
            stopping: set when this worker shall end.
            command: how to start the child; another one in tests.
            environment: variables that the child has besides those of this process.
            spare: a child started ahead, taken if there is one.
            beat: called again and again while it watches.
        """
        self._claim, self._lease = claim, claim.lease
        self._database, self._settings, self._stopping = database, settings, stopping
        self._command, self._environment, self._spare, self._beat = command, environment or {}, spare, beat
        self._limits = _limits(claim.spec, settings)
        self._began = time.monotonic()
        self._pulse = Pulse(self._lease, database, settings)
        self._asked: Asked | None = None
        self._patience = 0.0

    def run(self) -> State | None:
        """Gives the state it leaves the experiment in; None if the lease was lost: then that is not ours to know."""
        _LOG.info("experiment %s: attempt %d begins", self._lease.experiment_id, self._claim.attempt)
        self._pulse.start()
        with self._child() as child:
            while child.wait(self._pause()):
                self._pulse.keep(child.take_output())
                self._attend(child)
                self._beat()
            status = child.end()
            self._pulse.keep(child.take_output())
        self._pulse.stop(self._left())
        state = self._settle(child, status)
        self._keep_curves(state)
        _LOG.info("experiment %s: attempt %d ends: %s", self._lease.experiment_id, self._claim.attempt, state)
        return state

    def _child(self) -> Child:
        taken = self._spare.take(self._lease) if self._spare else None
        return taken or Child(partial(self._command, self._lease), self._environment)

    def _pause(self) -> float:
        return min(0.2, self._settings.watch_seconds)

    def _left(self) -> float:
        """How long the lease still lasts, in seconds."""
        return self._pulse.lease_end - time.monotonic()

    def _attend(self, child: Child) -> None:
        now = time.monotonic()
        if self._asked is None and (why := self._request(now)):
            self._ask(child, why, self._settings.grace_seconds)
        if self._asked != "lost" and (self._pulse.lost or self._left() < self._settings.margin_seconds):
            why = "was taken from this worker" if self._pulse.lost else "cannot be renewed"
            _LOG.error("experiment %s: its lease %s; its child is killed", self._lease.experiment_id, why)
            self._ask(child, "lost", 0.0)
        if self._asked and now >= self._patience:
            child.tell(signal.SIGKILL)

    def _request(self, now: float) -> Asked | None:
        """What the child is to be told to stop for."""
        if self._stopping.is_set() or self._pulse.state != "running":
            return "yield"
        if now > self._began + self._limits["wall_hours"] * 3600:
            return "wall"
        if now > self._pulse.moved + self._limits["stall_minutes"] * 60:
            return "stall"
        return None

    def _ask(self, child: Child, why: Asked, grace: float) -> None:
        self._asked, self._patience = why, time.monotonic() + grace
        child.tell(signal.SIGTERM if grace else signal.SIGKILL)

    def _settle(self, child: Child, status: int) -> State | None:
        if self._asked == "lost" or self._pulse.lost:
            return None
        try:
            return patiently(partial(self._write_end, child, status), self._left())
        except (LeaseLostError, OperationalError, InterfaceError) as error:
            _LOG.warning("experiment %s: its end cannot be written: %s", self._lease.experiment_id, error)
            return None

    def _keep_curves(self, state: State | None) -> None:
        """What is over is read faster in one piece; it can be read without."""
        if state not in FINAL:
            return
        try:
            curves.keep(self._database, self._lease.experiment_id)
        except (OperationalError, InterfaceError) as error:
            _LOG.warning("experiment %s: its curves are not kept in one piece: %s", self._lease.experiment_id, error)

    def _write_end(self, child: Child, status: int) -> State:
        with self._database.transaction() as session:
            return self._end(session, child, status)

    def _end(self, session: Session, child: Child, status: int) -> State:
        outcome = child.outcome
        if outcome and outcome.kind == "finished":
            return lifecycle.finish(session, self._lease)
        if outcome and outcome.reason:
            if outcome.reason.code == "device_missing" and self._environment.get("CUDA_VISIBLE_DEVICES"):
                # The GPU that this slot has cannot be used; another slot's may be.
                return lifecycle.crash(session, self._lease, outcome.reason, self._settings)
            return lifecycle.fail(session, self._lease, outcome.reason)
        match self._asked:
            case "wall":
                hours = self._limits["wall_hours"]
                sentence = f"It ran longer than limits.wall_hours allows, which is {hours:g}."
                return lifecycle.fail(session, self._lease, Reason("wall_time", sentence))
            case "stall":
                sentence = f"Its training did not move for {self._limits['stall_minutes']:g} minutes."
                return lifecycle.fail(session, self._lease, Reason("stalled", sentence))
            case "yield":
                return lifecycle.release(session, self._lease)
            case _:
                return lifecycle.crash(session, self._lease, _death(status), self._settings)


def _limits(spec: Mapping[str, Any], settings: Settings) -> dict[str, float]:
    """The limits of a spec, leniently: a row from before there was one of them stays runnable."""
    standard = {"wall_hours": Limits().wall_hours, "stall_minutes": settings.stall_seconds / 60}
    return standard | {name: value for name, value in spec.get("limits", {}).items() if value is not None}


def _death(status: int) -> Reason:
    if status >= 0:
        return Reason("crashed", f"The training process ended with status {status} and gave no reason; see the log.")
    name = _SIGNALS.get(-status, f"signal {-status}")
    hint = ", as the system does when memory runs out" if name == "SIGKILL" else ""
    return Reason("killed", f"The training process was killed by {name}{hint}.")
