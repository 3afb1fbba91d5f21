"""Keeps the lease of one experiment, in a thread of its own: a database that hangs must not hold up its supervisor."""

import contextvars
import logging
import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import InterfaceError, OperationalError

from ncmix.jobs import journal, lifecycle, queries, recording
from ncmix.jobs.database import Database, brief
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, LeaseLostError, State
from worker.timer import Timer

_LOG = logging.getLogger(__name__)
_CHILD = logging.getLogger(journal.CHILD)
_FLUSH_SECONDS = 1.0
_OVER = b"\n[The output of this attempt goes on, but is not kept: it is over NCMIX_LOG_LIMIT.]\n"


class Pulse:
    """Renews the lease, looks what is asked of its holder and whether the training moves, and writes the log.

    Attributes:
        state: of the experiment, as last seen.
        lost: the database has said that the lease is another's, or that the experiment has ended.
        lease_end: when the lease runs out for lack of renewal, by this process's monotonic clock.
        moved: when the training was last seen to move, by the same clock; as long as nobody can look, it is taken to.
    """

    def __init__(self, lease: Lease, database: Database, settings: Settings) -> None:
        now = time.monotonic()
        self.state: State = "running"
        self.lost = False
        self.lease_end, self.moved = now + settings.lease_seconds, now
        self._lease, self._database, self._settings = lease, database, settings
        self._renewal, self._flush = Timer(settings.renew_seconds), Timer(_FLUSH_SECONDS)
        self._output, self._kept, self._lock = b"", 0, threading.Lock()
        self._line = b""
        self._sign: float | None = None
        self._silent = False
        self._ended = threading.Event()
        # What it logs has the fields of the thread that it serves.
        within = contextvars.copy_context()
        self._thread = threading.Thread(target=within.run, args=(self._beat_on,), name="pulse", daemon=True)

    def start(self) -> None:
        """Begin to beat."""
        self._thread.start()

    def keep(self, output: bytes) -> None:
        """Take what the child wrote, up to the limit; it is put on record soon."""
        room = max(0, self._settings.log_limit - self._kept)
        kept = output[:room]
        if len(output) > room and self._kept <= self._settings.log_limit:
            kept += _OVER
        self._kept += len(kept)
        self._journal(kept)
        with self._lock:
            self._output += kept

    def _journal(self, kept: bytes) -> None:
        """Every line that is whole, for whoever reads the logs of all processes in one place."""
        *lines, self._line = (self._line + kept).split(b"\n")
        for line in lines:
            _CHILD.info("%s", line.decode("utf-8", "replace"))

    def stop(self, seconds: float) -> None:
        """Beat no more, and write what is left of the log; returns after so many seconds at most."""
        self._ended.set()
        self._thread.join(max(0.0, seconds))

    def _beat_on(self) -> None:
        while not self._ended.wait(self._settings.watch_seconds) and not self.lost:
            self._beat()
        if not self.lost:
            self._try(self._write_log)

    def _beat(self) -> None:
        self._try(self._renew if self._renewal.due() else self._look)
        if self._flush.due() and not self.lost:
            self._try(self._write_log)

    def _try(self, action: Callable[[], None]) -> None:
        """A database that does not answer is asked again later; one that says no ends it."""
        try:
            action()
            self._silent = False
        except LeaseLostError as error:
            _LOG.warning("%s", error)
            self.lost = True
        except (OperationalError, InterfaceError) as error:
            self.moved = time.monotonic()
            if not self._silent:
                _LOG.warning("experiment %s: the database does not answer: %s", self._lease.experiment_id, brief(error))
            self._silent = True
        except Exception:
            # A thread that ends is missed by nobody.
            _LOG.exception("experiment %s: its lease could not be looked after", self._lease.experiment_id)

    def _renew(self) -> None:
        before = time.monotonic()
        with self._database.passing() as session:
            self.state = lifecycle.renew(session, self._lease, self._settings)
        # Counted from before the question: the database's count began later.
        self.lease_end = before + self._settings.lease_seconds

    def _look(self) -> None:
        with self._database.reading() as session:
            self.state, sign = queries.sign_under(session, self._lease)
        if sign != self._sign:
            self._sign, self.moved = sign, time.monotonic()

    def _write_log(self) -> None:
        with self._lock:
            output = self._output
        if not output:
            return
        with self._database.transaction() as session:
            recording.append_log(session, self._lease, output)
        with self._lock:
            self._output = self._output[len(output) :]
