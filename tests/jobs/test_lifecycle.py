"""The life of an experiment, verb by verb: who may move it, and that nobody without the lease can."""

import threading
from dataclasses import replace

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from ncmix.jobs import lifecycle, queries, recording
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import (
    FINAL,
    HELD,
    MOVES,
    STATES,
    Lease,
    LeaseLostError,
    NotAllowedError,
    Reason,
    State,
    UnknownExperimentError,
)
from ncmix.jobs.tables import Experiment
from tests.jobs.helpers import claim, expire, get, reap, rested, submit, try_claim
from tests.snapshots import snapshot
from tests.toys import toy

KILLED = Reason("killed", "It was killed.")


def test_a_new_experiment_waits_and_says_what_it_is(database: Database) -> None:
    spec = toy(tags=("paper", "paper"), priority=3, mix="mixup")
    experiment = submit(database, spec)
    assert (experiment.state, experiment.queue, experiment.priority) == ("queued", "cpu", 3)
    assert (experiment.dataset, experiment.model, experiment.mix) == ("gaussian", "mlp", "mixup")
    assert (experiment.key, experiment.repeat, experiment.title) == (spec.key, 0, spec.title)
    assert (experiment.attempt, experiment.fence, experiment.progress, experiment.eta_seconds) == (0, 0, 0.0, None)
    assert get(database, experiment.id).spec == spec.model_dump(mode="json")


def test_ids_are_in_order_of_time(database: Database) -> None:
    made = [submit(database, toy(seed=seed)).id for seed in range(3)]
    assert len({len(i) for i in made} | {20}) == 1
    assert [i[:12] for i in made] == sorted(i[:12] for i in made)


class TestSubmittingTheSameSpecAgain:
    """Equal science is one experiment, until it has failed, was cancelled, or is asked for again."""

    def test_gives_the_experiment_that_is_there(self, database: Database) -> None:
        first = submit(database, toy())
        with database.transaction() as session:
            again = lifecycle.submit(session, toy(name="another name", tags=("x",)), "cpu")
        assert (again.experiment.id, again.created) == (first.id, False)

    def test_runs_it_again_on_request(self, database: Database) -> None:
        first = submit(database, toy())
        with database.transaction() as session:
            again = lifecycle.submit(session, toy(), "cpu", rerun=True)
        assert (again.created, again.experiment.repeat) == (True, 1)
        assert again.experiment.id != first.id

    @pytest.mark.parametrize("end", ["failed", "cancelled"])
    def test_runs_it_again_if_it_did_not_succeed(self, database: Database, settings: Settings, end: State) -> None:
        first = submit(database, toy())
        with database.transaction() as session:
            if end == "cancelled":
                lifecycle.cancel(session, first.id)
            else:
                taken = lifecycle.claim(session, ["cpu"], "me", settings)
                assert taken
                lifecycle.fail(session, taken.lease, KILLED)
        second = submit(database, toy())
        assert (second.repeat, second.state) == (1, "queued")
        assert submit(database, toy()).id == second.id

    def test_at_the_same_moment_makes_one_row(self, database: Database) -> None:
        start, ids = threading.Barrier(8), []

        def post() -> None:
            start.wait()
            with database.transaction() as session:
                ids.append(lifecycle.submit(session, toy(), "cpu").experiment.id)

        threads = [threading.Thread(target=post) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert (len(ids), len(set(ids))) == (8, 1)


class TestClaiming:
    """A claim takes the best experiment, alone, and gives the only token that can write to it."""

    def test_goes_by_priority_and_then_by_age(self, database: Database, settings: Settings) -> None:
        ids = [submit(database, toy(seed=s, priority=p)).id for s, p in enumerate([0, 5, 0, 5])]
        taken = [claim(database, settings).lease.experiment_id for _ in ids]
        assert taken == [ids[1], ids[3], ids[0], ids[2]]
        assert try_claim(database, settings) is None

    def test_takes_from_its_own_queues_only(self, database: Database, settings: Settings) -> None:
        submit(database, toy(), queue="gpu")
        assert try_claim(database, settings) is None

    @pytest.mark.parametrize(("queue", "taken"), [("gpu", [0, 0, 1]), ("cpu", [1, 1, 1])])
    def test_takes_no_more_devices_than_its_slot_has(
        self, database: Database, settings: Settings, queue: str, taken: list[int]
    ) -> None:
        """But on a CPU they are processes."""
        for gpus, some in enumerate(taken, start=1):
            experiment = submit(database, toy(seed=gpus, devices=3), queue=queue)
            with database.transaction() as session:
                assert (lifecycle.claim(session, [queue], "me", settings, gpus=gpus) is not None) == bool(some)
            if not some:
                with database.transaction() as session:
                    lifecycle.cancel(session, experiment.id)

    def test_gives_what_the_holder_must_know(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        taken = claim(database, settings, "host:7")
        row = get(database, experiment.id)
        assert (taken.lease, taken.attempt, taken.spec) == (Lease(experiment.id, 1), 1, experiment.spec)
        assert (row.state, row.worker, row.attempt, row.fence) == ("running", "host:7", 1, 1)
        assert row.lease_until == pytest.approx(row.started + settings.lease_seconds, abs=1)

    def test_is_made_by_one_of_many(self, database: Database, settings: Settings) -> None:
        submit(database, toy())
        start, taken = threading.Barrier(8), []

        def take() -> None:
            start.wait()
            taken.append(try_claim(database, settings))

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert sorted(t is None for t in taken) == [False] + [True] * 7


class TestTheLease:
    """Whoever holds the newest fence writes; everybody else gets LeaseLostError and has changed nothing."""

    def test_is_extended_by_renewing(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        taken = claim(database, settings)
        expire(database, experiment.id)
        with database.transaction() as session:
            assert lifecycle.renew(session, taken.lease, settings) == "running"
        assert reap(database, settings) == []

    def test_that_has_run_out_goes_to_another_and_fences_the_first(
        self, database: Database, settings: Settings
    ) -> None:
        experiment = submit(database, toy())
        zombie = claim(database, settings).lease
        expire(database, experiment.id)
        assert [e.id for e in reap(database, settings)] == [experiment.id]
        rested(database, experiment.id)
        heir = claim(database, settings)
        assert (heir.attempt, heir.lease.fence) == (2, 2)
        before = get(database, experiment.id)
        _everything_is_refused(database, zombie, settings)
        after = get(database, experiment.id)
        assert _columns(after) == _columns(before)

    def test_ends_with_the_experiment(self, database: Database, settings: Settings) -> None:
        submit(database, toy())
        lease = claim(database, settings).lease
        with database.transaction() as session:
            assert lifecycle.finish(session, lease) == "succeeded"
        _everything_is_refused(database, lease, settings)

    def test_is_not_held_between_reaping_and_the_next_claim(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        expire(database, experiment.id)
        reap(database, settings)
        _everything_is_refused(database, lease, settings)


def _everything_is_refused(database: Database, lease: Lease, settings: Settings) -> None:
    verbs = [
        lambda s: lifecycle.renew(s, lease, settings),
        lambda s: lifecycle.finish(s, lease),
        lambda s: lifecycle.fail(s, lease, KILLED),
        lambda s: lifecycle.crash(s, lease, KILLED, settings),
        lambda s: lifecycle.release(s, lease),
        lambda s: recording.append_log(s, lease, b"boo"),
        lambda s: queries.state_under(s, lease),
    ]
    for verb in verbs:
        with pytest.raises(LeaseLostError), database.transaction() as session:
            verb(session)
    with pytest.raises(LeaseLostError):
        recording.record(database, lease, snapshot(2))


def _columns(row: Experiment) -> dict[str, object]:
    return {column.name: getattr(row, column.name) for column in Experiment.__table__.columns}


class TestEnding:
    """Each final state says why; nothing moves out of it."""

    def test_in_success(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        with database.transaction() as session:
            lifecycle.finish(session, lease)
        row = get(database, experiment.id)
        assert (row.state, row.progress, row.reason_code, row.worker, row.lease_until) == (
            "succeeded", 1.0, "finished", None, None,
        )  # fmt: skip
        assert row.created <= row.started <= row.finished

    def test_in_failure_says_why(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        with database.transaction() as session:
            lifecycle.fail(session, lease, Reason("diverged", "The loss is inf."))
        row = get(database, experiment.id)
        assert (row.state, row.reason_code, row.reason_message) == ("failed", "diverged", "The loss is inf.")

    def test_after_too_many_deaths(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        for attempt in range(1, settings.max_attempts + 1):
            rested(database, experiment.id)
            taken = claim(database, settings)
            assert taken.attempt == attempt
            with database.transaction() as session:
                state = lifecycle.crash(session, taken.lease, KILLED, settings)
            assert state == ("queued" if attempt < settings.max_attempts else "failed")
        row = get(database, experiment.id)
        assert (row.reason_code, row.reason_message) == ("killed", "It was killed. (attempt 3 of 3)")

    def test_after_too_many_lost_workers(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        once = replace(settings, max_attempts=1)
        claim(database, once, "host:7")
        expire(database, experiment.id)
        assert [e.state for e in reap(database, once)] == ["failed"]
        row = get(database, experiment.id)
        assert row.reason_code == "worker_lost"
        assert row.reason_message.startswith("Its worker host:7 gave no sign of life")


def test_after_a_death_it_rests_longer_each_time(database: Database, settings: Settings) -> None:
    experiment = submit(database, toy())
    rests = []
    for _ in range(2):
        rested(database, experiment.id)
        taken = claim(database, settings)
        with database.transaction() as session:
            lifecycle.crash(session, taken.lease, KILLED, replace(settings, backoff_seconds=100))
        row = get(database, experiment.id)
        rests.append(row.not_before - row.created)
        assert try_claim(database, settings) is None
    assert rests == [pytest.approx(100, abs=5), pytest.approx(200, abs=5)]


def test_released_by_a_worker_that_stops_it_is_queued_at_once_and_not_charged(
    database: Database, settings: Settings
) -> None:
    submit(database, toy())
    for fence in range(1, settings.max_attempts + 3):
        taken = claim(database, settings)
        assert (taken.attempt, taken.lease.fence) == (1, fence)
        with database.transaction() as session:
            assert lifecycle.release(session, taken.lease) == "queued"


class TestCancelling:
    """Cancelling what waits is at once; what runs is asked to stop, and is cancelled when its child is gone."""

    def test_a_queued_one(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        with database.transaction() as session:
            assert lifecycle.cancel(session, experiment.id).state == "cancelled"
        row = get(database, experiment.id)
        assert (row.reason_code, row.finished is not None) == ("cancelled_by_user", True)
        assert try_claim(database, settings) is None

    def test_a_running_one_twice(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        for _ in range(2):
            with database.transaction() as session:
                assert lifecycle.cancel(session, experiment.id).state == "cancelling"
        with database.transaction() as session:
            assert lifecycle.renew(session, lease, settings) == "cancelling"
            assert lifecycle.release(session, lease) == "cancelled"
        with database.transaction() as session:
            assert lifecycle.cancel(session, experiment.id).state == "cancelled"
        assert [e.kind for e in _events(database, experiment)] == ["submitted", "claimed", "cancel_asked", "cancelled"]

    @pytest.mark.parametrize("end", ["finish", "fail", "crash", "lost"])
    def test_wins_over_any_other_end(self, database: Database, settings: Settings, end: str) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        with database.transaction() as session:
            lifecycle.cancel(session, experiment.id)
        expire(database, experiment.id)
        with database.transaction() as session:
            match end:
                case "finish":
                    lifecycle.finish(session, lease)
                case "fail":
                    lifecycle.fail(session, lease, KILLED)
                case "crash":
                    lifecycle.crash(session, lease, KILLED, settings)
                case _:
                    lifecycle.reap(session, settings)
        row = get(database, experiment.id)
        assert (row.state, row.reason_code) == ("cancelled", "cancelled_by_user")

    def test_what_has_ended_is_refused_with_a_sentence(self, database: Database, settings: Settings) -> None:
        experiment = submit(database, toy())
        lease = claim(database, settings).lease
        with database.transaction() as session:
            lifecycle.finish(session, lease)
        with (
            pytest.raises(NotAllowedError, match=f"Experiment {experiment.id} has already succeeded; only one"),
            database.transaction() as session,
        ):
            lifecycle.cancel(session, experiment.id)

    def test_what_is_unknown_is_refused_with_a_sentence(self, database: Database) -> None:
        with pytest.raises(UnknownExperimentError, match="There is no experiment 'x'"), database.transaction() as s:
            lifecycle.cancel(s, "x")


def test_an_experiment_in_hands_cannot_be_deleted(database: Database, settings: Settings) -> None:
    experiment = submit(database, toy())
    lease = claim(database, settings).lease
    with pytest.raises(NotAllowedError, match="is running; cancel it"), database.transaction() as session:
        lifecycle.delete(session, experiment.id)
    with database.transaction() as session:
        lifecycle.finish(session, lease)
        lifecycle.delete(session, experiment.id)
    with pytest.raises(UnknownExperimentError):
        get(database, experiment.id)


def test_two_reapers_requeue_once(database: Database, settings: Settings) -> None:
    experiment = submit(database, toy())
    claim(database, settings)
    expire(database, experiment.id)
    assert [len(reap(database, settings)) for _ in range(2)] == [1, 0]
    assert [e.kind for e in _events(database, experiment)] == ["submitted", "claimed", "requeued"]


def test_text_that_a_database_refuses_is_escaped(database: Database, settings: Settings) -> None:
    """As in the name of a file that is no UTF-8."""
    experiment = submit(database, toy())
    lease = claim(database, settings).lease
    with database.transaction() as session:
        lifecycle.fail(session, lease, Reason("data_missing", "The picture b\udcff.png\x00 is broken."))
    assert get(database, experiment.id).reason_message == "The picture b\\udcff.png\\x00 is broken."


def test_every_event_tells_the_state_it_led_to(database: Database, settings: Settings) -> None:
    experiment = submit(database, toy())
    lease = claim(database, settings, "host:7").lease
    recording.record(database, lease, snapshot(1))
    with database.transaction() as session:
        lifecycle.fail(session, lease, KILLED)
    told = [(e.kind, e.state, e.fence, e.data) for e in _events(database, experiment)]
    assert told == [
        ("submitted", "queued", 0, {}),
        ("claimed", "running", 1, {"attempt": 1, "worker": "host:7"}),
        ("epoch", "running", 1, {"epoch": 1}),
        ("failed", "failed", 1, {"reason": "killed"}),
    ]


def _events(database: Database, experiment: Experiment) -> list:
    with database.reading() as session:
        return queries.events(session, experiment.id)


def test_the_moves_lead_from_every_state_that_is_not_final_to_a_final_one() -> None:
    assert set(MOVES) == set(STATES)
    assert {state for state, following in MOVES.items() if not following} == set(FINAL)
    for state in (*HELD, "queued", "paused"):
        reachable = {state}
        for _ in STATES:
            reachable |= {following for s in reachable for following in MOVES[s]}
        assert reachable & set(FINAL)


def test_the_database_itself_refuses_a_state_that_is_none(database: Database) -> None:
    experiment = submit(database, toy())
    with pytest.raises(IntegrityError), database.transaction() as session:
        session.execute(update(Experiment).where(Experiment.id == experiment.id).values(state="done"))
