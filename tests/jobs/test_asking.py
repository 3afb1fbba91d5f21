"""Pausing, resuming, retrying and extending: what people ask of an experiment, and when they are refused."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from ncmix.jobs import lifecycle, queries, recording
from ncmix.jobs.database import Database
from ncmix.jobs.lifecycle import Submitted
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, NotAllowedError, Reason, State
from ncmix.jobs.tables import Experiment
from ncmix.spec import SpecError
from tests.jobs.helpers import claim, expire, get, keep_end, reap, submit, try_claim
from tests.snapshots import snapshot
from tests.toys import toy

KILLED = Reason("killed", "It was killed.")
Verb = Callable[[Session, str], Experiment]


def ask(database: Database, verb: Verb, experiment: Experiment) -> State:
    """Ask in a transaction of its own."""
    with database.transaction() as session:
        return verb(session, experiment.id).state


def release(database: Database, lease: Lease) -> State:
    """The child is gone."""
    with database.transaction() as session:
        return lifecycle.release(session, lease)


def kinds(database: Database, experiment: Experiment) -> list[str]:
    """What happened to it."""
    with database.reading() as session:
        return [e.kind for e in queries.events(session, experiment.id)]


class TestPausing:
    """What waits pauses at once; what runs when its child is gone; and then it goes on only when it is told to."""

    def test_a_queued_one_leaves_the_queue_and_comes_back(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        assert [ask(database, lifecycle.pause, experiment) for _ in range(2)] == ["paused"] * 2
        row = get(database, experiment.id)
        assert (row.reason_code, row.finished) == ("paused_by_user", None)
        assert try_claim(database, settings) is None
        assert [ask(database, lifecycle.resume, experiment) for _ in range(2)] == ["queued"] * 2
        assert get(database, experiment.id).reason_code is None
        assert claim(database, settings).lease == Lease(experiment.id, 1)
        assert kinds(database, experiment) == ["submitted", "paused", "resumed", "claimed"]

    def test_a_running_one_is_asked_and_pauses_when_its_child_is_gone(
        self, database: Database, settings: Settings
    ) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        assert [ask(database, lifecycle.pause, experiment) for _ in range(2)] == ["pausing"] * 2
        with database.transaction() as session:
            assert lifecycle.renew(session, lease, settings) == "pausing"
        recording.record(database, lease, snapshot(1))  # Until it is gone its child may write.
        assert release(database, lease) == "paused"
        row = get(database, experiment.id)
        assert (row.worker, row.lease_until, row.reason_code) == (None, None, "paused_by_user")
        assert ask(database, lifecycle.resume, experiment) == "queued"

    def test_costs_no_attempt_however_often(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        for _ in range(settings.max_attempts + 2):
            lease = claim(database, settings).lease
            ask(database, lifecycle.pause, experiment)
            assert release(database, lease) == "paused"
            ask(database, lifecycle.resume, experiment)
        assert get(database, experiment.id).attempt == 0

    @pytest.mark.parametrize("how", ["crash", "lost"])
    def test_comes_true_however_the_child_goes_but_a_death_is_charged(
        self, database: Database, settings: Settings, how: str
    ) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        ask(database, lifecycle.pause, experiment)
        expire(database, experiment.id)
        if how == "lost":
            reap(database, settings)
        else:
            with database.transaction() as session:
                lifecycle.crash(session, lease, KILLED, settings)
        row = get(database, experiment.id)
        assert (row.state, row.attempt) == ("paused", 1)

    def test_is_too_late_for_one_that_comes_to_its_end(self, database: Database, settings: Settings) -> None:
        done, bad = submit(database, toy()), submit(database, toy(seed=1))
        leases = [claim(database, settings).lease for _ in range(2)]
        for experiment in (done, bad):
            ask(database, lifecycle.pause, experiment)
        with database.transaction() as session:
            assert lifecycle.finish(session, leases[0]) == "succeeded"
            assert lifecycle.fail(session, leases[1], KILLED) == "failed"

    def test_can_be_taken_back_before_it_comes_true(self, database: Database, settings: Settings) -> None:
        """The child may have been told to stop; then the experiment is queued again, uncharged."""
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        ask(database, lifecycle.pause, experiment)
        assert ask(database, lifecycle.resume, experiment) == "running"
        assert release(database, lease) == "queued"
        assert get(database, experiment.id).attempt == 0

    def test_gives_way_to_cancelling(self, database: Database, settings: Settings) -> None:
        waiting, running = submit(database, toy()), submit(database, toy(seed=1))
        ask(database, lifecycle.pause, waiting)
        lease = claim(database, settings).lease
        ask(database, lifecycle.pause, running)
        assert ask(database, lifecycle.cancel, waiting) == "cancelled"
        assert ask(database, lifecycle.cancel, running) == "cancelling"
        assert release(database, lease) == "cancelled"

    @pytest.mark.parametrize("verb", [lifecycle.pause, lifecycle.resume])
    def test_is_refused_with_a_sentence_for_what_ends_or_has_ended(
        self, database: Database, settings: Settings, verb: Verb
    ) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        ask(database, lifecycle.cancel, experiment)
        with pytest.raises(NotAllowedError, match=r"is being cancelled; only one that is (queued or )?"):
            ask(database, verb, experiment)
        release(database, lease)
        with pytest.raises(NotAllowedError, match="was already cancelled; only one that is"):
            ask(database, verb, experiment)


def _retry(database: Database, experiment: Experiment) -> Submitted:
    with database.transaction() as session:
        return lifecycle.retry(session, experiment.id)


def _extend(database: Database, experiment: Experiment, epochs: int, *assignments: str) -> Submitted:
    with database.transaction() as session:
        return lifecycle.extend(session, experiment.id, epochs, assignments)


def ended(database: Database, settings: Settings, how: State, **changes: object) -> Experiment:
    """A toy experiment that has ended like this."""
    experiment = submit(database, toy(**changes), queue="cpu")
    lease = claim(database, settings).lease
    with database.transaction() as session:
        match how:
            case "succeeded":
                lifecycle.finish(session, lease)
            case "failed":
                lifecycle.fail(session, lease, KILLED)
            case _:
                lifecycle.cancel(session, experiment.id)
                lifecycle.release(session, lease)
    return experiment


class TestRetrying:
    """A new experiment beside the old one, which keeps its reason and its log."""

    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    def test_makes_one_experiment_however_often(self, database: Database, settings: Settings, end: State) -> None:
        old = ended(database, settings, end)
        first, second = _retry(database, old), _retry(database, old)
        assert (first.created, second.created) == (True, False)
        assert first.experiment.id == second.experiment.id != old.id
        assert (first.experiment.key, first.experiment.repeat, first.experiment.state) == (old.key, 1, "queued")
        assert first.experiment.parent_id == old.id
        assert get(database, old.id).state == end

    def test_of_what_has_succeeded_or_not_ended_is_refused(self, database: Database, settings: Settings) -> None:
        waiting = submit(database, toy())
        with pytest.raises(NotAllowedError, match="is queued; only one that failed or was cancelled"):
            _retry(database, waiting)
        ask(database, lifecycle.cancel, waiting)
        with pytest.raises(NotAllowedError, match="is succeeded; only one"):
            _retry(database, ended(database, settings, "succeeded", seed=1))


class TestExtending:
    """A new experiment that starts from the last checkpoint of its parent, and names it."""

    def test_makes_the_longer_experiment_with_its_parent(self, database: Database, settings: Settings) -> None:
        parent = ended(database, settings, "succeeded", epochs=3)
        keep_end(database, parent.id)
        made = _extend(database, parent, 9)
        child = made.experiment
        assert (made.created, child.parent_id, child.epochs, child.state) == (True, parent.id, 9, "queued")
        assert child.spec["schedule"]["milestones"] == [1, 2]
        assert _extend(database, parent, 9).experiment.id == child.id
        with database.reading() as session:
            assert queries.events(session, child.id)[0].data == {"parent": parent.id}

    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    def test_needs_a_success(self, database: Database, settings: Settings, end: State) -> None:
        with pytest.raises(NotAllowedError, match=f"is {end}; only one that has succeeded can be extended"):
            _extend(database, ended(database, settings, end), 9)

    def test_needs_a_checkpoint_of_the_end(self, database: Database, settings: Settings) -> None:
        imported = ended(database, settings, "succeeded", epochs=3)
        with pytest.raises(NotAllowedError, match="cannot be extended: no checkpoint of its end is here"):
            _extend(database, imported, 9)
        with database.reading() as session:
            assert [experiment.id for experiment in queries.listing(session).items] == [imported.id]
        keep_end(database, imported.id)
        assert _extend(database, imported, 9).created

    def test_to_no_more_epochs_is_refused(self, database: Database, settings: Settings) -> None:
        with pytest.raises(SpecError, match="3 does not go past the run it extends; allowed is more than 3"):
            _extend(database, ended(database, settings, "succeeded", epochs=3), 3)

    def test_can_change_the_schedule_and_has_to_for_a_cosine(self, database: Database, settings: Settings) -> None:
        parent = ended(database, settings, "succeeded", epochs=3, schedule="cosine")
        keep_end(database, parent.id)
        with pytest.raises(SpecError, match="cosine has come to its end after 3 epochs"):
            _extend(database, parent, 9)
        assert _extend(database, parent, 9, "schedule=constant").experiment.spec["schedule"]["kind"] == "constant"
