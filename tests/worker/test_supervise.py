"""What becomes of an experiment for everything a child can do, and of the child for everything it is asked."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from ncmix.jobs import lifecycle, queries, recording
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Claim, Lease, State
from ncmix.jobs.tables import Experiment, MetricCurve
from ncmix.results import Metric, Snapshot, Tick
from tests.jobs.helpers import claim, expire, get, reap, rested, submit
from tests.servers import wait_for
from tests.toys import toy
from worker.places import Place
from worker.supervise import Supervisor

CHILDREN = Path(__file__).with_name("children.py")


def acting(behaviour: str) -> Callable[[Lease, int, int], Sequence[str]]:
    """The command of a child that behaves like this."""
    return lambda _, outcome, leash: [sys.executable, str(CHILDREN), behaviour, str(outcome), str(leash)]


def supervise(database: Database, settings: Settings, behaviour: str, claimed: Claim | None = None) -> State | None:
    """Run one claimed experiment with such a child, to its end."""
    taken = claimed or claim(database, settings)
    return Supervisor(taken, database, settings, threading.Event(), acting(behaviour)).run()


@contextmanager
def supervising(
    database: Database, settings: Settings, behaviour: str, stopping: threading.Event | None = None
) -> Iterator[list[State | None]]:
    """The same in a thread; the list has the state it ended in after the block."""
    ended: list[State | None] = []
    supervisor = Supervisor(
        claim(database, settings), database, settings, stopping or threading.Event(), acting(behaviour)
    )
    thread = threading.Thread(target=lambda: ended.append(supervisor.run()))
    thread.start()
    try:
        yield ended
    finally:
        thread.join(30)
        assert not thread.is_alive()


def log(database: Database, experiment: Experiment) -> str:
    """What the child wrote, as far as it is on record."""
    with database.reading() as session:
        return queries.log(session, experiment.id).data.decode()


def says(database: Database, experiment: Experiment, text: str) -> None:
    """Wait until the child has written this: then it can take signals."""
    wait_for(lambda: text in log(database, experiment), f"{text!r} in the log")


@pytest.fixture
def experiment(database: Database) -> Experiment:
    """A queued experiment."""
    return submit(database, toy())


class TestWhatTheChildDoes:
    """Its outcome decides; without one it has died, and the next attempt may go better."""

    def test_it_finishes(self, database: Database, settings: Settings, experiment: Experiment) -> None:
        assert supervise(database, settings, "finish") == "succeeded"
        assert log(database, experiment) == "all done\n"

    def test_what_is_over_is_kept_for_plots(self, database: Database, settings: Settings) -> None:
        submit(database, toy())
        claimed = claim(database, settings)
        recording.record(database, claimed.lease, Snapshot(1, (Metric("train", "nc1", 0.5),)))
        assert supervise(database, settings, "finish", claimed) == "succeeded"
        with database.reading() as session:
            (kept,) = session.scalars(select(MetricCurve))
        assert (kept.experiment_id, kept.split, kept.name) == (claimed.lease.experiment_id, "train", "nc1")

    def test_it_fails_with_a_reason(self, database: Database, settings: Settings, experiment: Experiment) -> None:
        assert supervise(database, settings, "fail") == "failed"
        row = get(database, experiment.id)
        assert (row.reason_code, row.reason_message) == ("data_missing", "There are no pictures.")

    def test_of_a_gpu_that_cannot_be_used_another_slot_may_have_a_better_one(
        self, database: Database, settings: Settings, experiment: Experiment
    ) -> None:
        """So that one broken slot does not fail all that is queued."""
        gpu, stopping, twice = Place(("GPU-aaaa-1",)), threading.Event(), replace(settings, max_attempts=2)
        for state in ("queued", "failed"):
            rested(database, experiment.id)
            taken = claim(database, settings)
            assert Supervisor(taken, database, twice, stopping, acting("no gpu"), gpu.environment).run() == state
            row = get(database, experiment.id)
            assert (row.reason_code, row.reason_message[:22]) == ("device_missing", "The driver is too old.")

    def test_where_no_gpu_is_to_be_had_there_is_no_second_attempt(
        self, database: Database, settings: Settings, experiment: Experiment
    ) -> None:
        taken = claim(database, settings)
        slot = Supervisor(taken, database, settings, threading.Event(), acting("no gpu"), Place().environment)
        assert slot.run() == "failed"

    @pytest.mark.parametrize(
        ("behaviour", "code", "sentence"),
        [
            ("exit", "crashed", "The training process ended with status 3 and gave no reason; see the log."),
            ("half a word", "crashed", "The training process ended with status 0 and gave no reason; see the log."),
            (
                "killed",
                "killed",
                "The training process was killed by SIGKILL, as the system does when memory runs out.",
            ),
        ],
    )
    def test_it_dies_until_the_attempts_are_used_up(
        self, database: Database, settings: Settings, experiment: Experiment, behaviour: str, code: str, sentence: str
    ) -> None:
        twice = replace(settings, max_attempts=2)
        assert supervise(database, twice, behaviour) == "queued"
        rested(database, experiment.id)
        assert supervise(database, twice, behaviour) == "failed"
        row = get(database, experiment.id)
        assert (row.reason_code, row.reason_message) == (code, f"{sentence} (attempt 2 of 2)")
        if behaviour == "exit":
            assert log(database, experiment) == "Traceback: something broke\n" * 2

    def test_it_leaves_a_process_behind(self, database: Database, settings: Settings, experiment: Experiment) -> None:
        assert supervise(database, settings, "leave a process behind") == "succeeded"
        left = int(log(database, experiment).split()[1])
        wait_for(lambda: _is_gone(left), "The end of the process left behind")

    def test_it_writes_more_than_is_kept(self, database: Database, settings: Settings, experiment: Experiment) -> None:
        assert supervise(database, replace(settings, log_limit=10), "talk") == "succeeded"
        assert log(database, experiment) == (
            "x" * 10 + "\n[The output of this attempt goes on, but is not kept: it is over NCMIX_LOG_LIMIT.]\n"
        )


class TestWhatTheChildIsAsked:
    """Cancel, the worker's end, the time limit and the loss of the lease all end it, and only then is it settled."""

    @pytest.mark.parametrize("behaviour", ["wait", "deaf", "finish when told"])
    def test_to_cancel(self, database: Database, settings: Settings, experiment: Experiment, behaviour: str) -> None:
        """Gently, then by force; and a success in the last moment does not undo what the user was promised."""
        impatient = replace(settings, grace_seconds=0.5) if behaviour == "deaf" else settings
        with supervising(database, impatient, behaviour) as ended:
            says(database, experiment, "ready")
            with database.transaction() as session:
                lifecycle.cancel(session, experiment.id)
        assert ended == ["cancelled"]
        assert get(database, experiment.id).reason_code == "cancelled_by_user"

    def test_to_make_way_because_the_worker_stops(
        self, database: Database, settings: Settings, experiment: Experiment
    ) -> None:
        stopping = threading.Event()
        with supervising(database, settings, "wait", stopping) as ended:
            says(database, experiment, "ready")
            stopping.set()
        assert ended == ["queued"]
        row = get(database, experiment.id)
        assert (row.attempt, row.lease_until) == (0, None)

    def test_to_end_because_it_ran_too_long(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy(limits={"wall_hours": 1e-4}))
        assert supervise(database, settings, "wait") == "failed"
        row = get(database, experiment.id)
        assert (row.reason_code, row.reason_message) == (
            "wall_time", "It ran longer than limits.wall_hours allows, which is 0.0001.",
        )  # fmt: skip

    @pytest.mark.parametrize("where", ["settings", "spec"])
    def test_to_end_because_its_training_does_not_move(
        self, database: Database, settings: Settings, where: str
    ) -> None:
        """The settings say how long it may take, or the spec does; a deaf child is killed."""
        changes = {"limits": {"stall_minutes": 0.5 / 60}} if where == "spec" else {}
        experiment = submit(database, toy(**changes))
        impatient = replace(settings, grace_seconds=0.5, stall_seconds=3600.0 if where == "spec" else 0.5)
        assert supervise(database, impatient, "deaf") == "failed"
        row = get(database, experiment.id)
        assert (row.reason_code, row.reason_message) == (
            "stalled", "Its training did not move for 0.00833333 minutes.",
        )  # fmt: skip

    def test_nothing_as_long_as_its_training_moves(
        self, database: Database, settings: Settings, experiment: Experiment
    ) -> None:
        stopping = threading.Event()
        with supervising(database, replace(settings, stall_seconds=4.0), "wait", stopping) as ended:
            says(database, experiment, "ready")
            lease = Lease(experiment.id, 1)
            for step in range(30):
                with database.transaction() as session:
                    recording.progress(session, lease, Tick(1, step, 30))
                assert not stopping.wait(0.2)
            assert get(database, experiment.id).state == "running"
            stopping.set()
        assert ended == ["queued"]

    def test_to_pause(self, database: Database, settings: Settings, experiment: Experiment) -> None:
        with supervising(database, settings, "wait") as ended:
            says(database, experiment, "ready")
            with database.transaction() as session:
                lifecycle.pause(session, experiment.id)
        assert ended == ["paused"]
        assert get(database, experiment.id).attempt == 0

    def test_to_die_because_another_worker_has_the_lease(
        self, database: Database, settings: Settings, experiment: Experiment
    ) -> None:
        with supervising(database, settings, "deaf") as ended:
            says(database, experiment, "ready")
            # Expired and claimed in one go, as happens to a worker that was frozen for longer than its lease.
            with database.transaction() as session:
                session.execute(update(Experiment).values(lease_until=0.0))
                assert lifecycle.reap(session, replace(settings, backoff_seconds=1e-9))
                heir = lifecycle.claim(session, ["cpu"], "heir", settings)
        assert ended == [None]
        row = get(database, experiment.id)
        assert heir is not None
        assert (row.state, row.worker, row.fence) == ("running", "heir", heir.lease.fence)


def test_the_lease_is_renewed_while_the_child_works(
    database: Database, settings: Settings, experiment: Experiment
) -> None:
    stopping = threading.Event()
    with supervising(database, settings, "wait", stopping) as ended:
        says(database, experiment, "ready")
        first = get(database, experiment.id).lease_until
        expire(database, experiment.id)
        wait_for(lambda: (get(database, experiment.id).lease_until or 0) > (first or 0), "A renewal")
        assert reap(database, settings) == []
        stopping.set()
    assert ended == ["queued"]


@pytest.mark.parametrize("fault", ["refuses", "hangs"])
def test_a_worker_that_cannot_renew_kills_its_child_before_its_lease_ends(
    database: Database, settings: Settings, experiment: Experiment, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Whether the database refuses or is silent for ever, as a frozen server is."""
    thawed = threading.Event()
    unreachable = _unreachable if fault == "refuses" else lambda *_: thawed.wait()
    brief = replace(settings, lease_seconds=1.5)
    with supervising(database, brief, "deaf") as ended:
        says(database, experiment, "ready")
        monkeypatch.setattr(lifecycle, "renew", unreachable)
        monkeypatch.setattr(queries, "sign_under", unreachable)
    thawed.set()
    assert ended == [None]
    row = get(database, experiment.id)
    assert row.state == "running"
    wait_for(lambda: reap(database, brief), "The end of the lease")


def _unreachable(*_: object) -> None:
    raise OperationalError("", {}, Exception("no route to host"))


def test_a_child_dies_with_its_supervisor(tmp_path: Path) -> None:
    """Even a deaf one, and even when its supervisor was killed without a chance to do anything."""
    code = (
        "import sys; from worker.child import Child\n"
        f"command = lambda outcome, leash: [sys.executable, {str(CHILDREN)!r}, 'deaf', str(outcome), str(leash)]\n"
        "with Child(command) as child:\n"
        "    while b'ready' not in child.output: child.wait(1)\n"
        "    print(child.pid, flush=True)\n"
        "    while True: child.wait(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        assert not _is_gone(child)
        supervisor.kill()
        wait_for(lambda: _is_gone(child), "The end of the child")


def _is_gone(pid: int) -> bool:
    """Dead; a zombie that nobody has waited for counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_the_child_has_no_descriptor_of_its_supervisor_but_its_own_two(
    database: Database, settings: Settings, experiment: Experiment
) -> None:
    """Else it would keep the leash it is to be held by."""
    with supervising(database, settings, "wait") as ended:
        says(database, experiment, "ready")
        (pid,) = [int(p.name) for p in Path("/proc").glob("[0-9]*") if _is_child(p)]
        links = [str(p.readlink()) for p in Path(f"/proc/{pid}/fd").iterdir()]
        assert sum("pipe" in link for link in links) == 4  # standard output and error, outcome, leash
        os.kill(pid, signal.SIGKILL)
    assert ended == ["queued"]


def _is_child(folder: Path) -> bool:
    try:
        stat = (folder / "stat").read_text().rsplit(")", 1)[1].split()
        return int(stat[1]) == os.getpid() and str(CHILDREN) in (folder / "cmdline").read_text()
    except OSError:
        return False


def test_the_watcher_beats_while_the_child_runs(database: Database, settings: Settings):
    submit(database, toy())
    stopping = threading.Event()
    watcher = Supervisor(claim(database, settings), database, settings, stopping, acting("wait"), beat=stopping.set)
    assert watcher.run() == "queued"
