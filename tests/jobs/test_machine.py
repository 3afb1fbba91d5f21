"""Every verb in every order, against a model in a few lines: on each database the record and the model agree."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import delete, select

from ncmix.jobs import checkpoints, lifecycle, queries, recording
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import (
    FINAL,
    HELD,
    MOVES,
    Lease,
    LeaseLostError,
    NotAllowedError,
    Reason,
    State,
    UnknownExperimentError,
)
from ncmix.jobs.tables import Experiment
from tests.jobs.helpers import expire, keep_end
from tests.snapshots import snapshot
from tests.toys import toy

ATTEMPTS = 2
KILLED, BROKEN = Reason("killed", "It was killed."), Reason("error", "It is broken.")
REFUSED = (LeaseLostError, NotAllowedError, UnknownExperimentError)


@dataclass
class Model:
    """An experiment as the design has it."""

    key: str
    state: State = "queued"
    attempt: int = 0
    fence: int = 0
    epoch: int = 0

    def gone(self, otherwise: State) -> State:
        """The holder is gone: what it was asked for, or else `otherwise`."""
        match self.state:
            case "cancelling":
                return "cancelled"
            case "pausing":
                return "paused"
            case _:
                return otherwise

    def died(self) -> State:
        """The holder died, which is charged."""
        return self.gone("queued" if self.attempt < ATTEMPTS else "failed")


picks = st.integers(0, 4)


@dataclass
class World:
    """All experiments by id, in the order they were made."""

    models: dict[str, Model] = field(default_factory=dict)

    def newest(self, key: str) -> str | None:
        return next((i for i, m in reversed(self.models.items()) if m.key == key), None)

    def held(self, lease: Lease) -> Model | None:
        model = self.models.get(lease.experiment_id)
        return model if model and model.fence == lease.fence and model.state in HELD else None


class Machine(RuleBasedStateMachine):
    """The verbs as steps; a subclass names the database."""

    database: Database
    settings: Settings

    experiments = Bundle("experiments")

    @initialize()
    def empty(self) -> None:
        self.world, self.leases = World(), []
        with self.database.transaction() as session:
            session.execute(delete(Experiment))

    def picked(self, pick: int) -> Lease:
        """Of all leases there ever were, mostly one that is held."""
        ordered = sorted(self.leases, key=lambda lease: self.world.held(lease) is None)
        return ordered[pick % len(ordered)]

    @contextmanager
    def refused_unless(self, allowed: object):
        """A step that the model forbids must fail, and change nothing: the invariants look."""
        if allowed:
            yield
            return
        with pytest.raises(REFUSED):
            yield

    def _submitted(self, made: lifecycle.Submitted, key: str):
        newest = self.world.newest(key)
        expected_new = newest is None or self.world.models[newest].state in ("failed", "cancelled", "cancelling")
        assert made.created == expected_new
        if not made.created:
            assert made.experiment.id == newest
            return multiple()
        self.world.models[made.experiment.id] = Model(key)
        return made.experiment.id

    @rule(target=experiments, seed=st.booleans())
    def submit(self, seed: bool):
        spec = toy(seed=int(seed))
        with self.database.transaction() as session:
            made = lifecycle.submit(session, spec, "cpu")
        return self._submitted(made, spec.key)

    @rule()
    def claim(self) -> None:
        with self.database.transaction() as session:
            taken = lifecycle.claim(session, ["cpu"], "me", self.settings)
        waiting = [i for i, m in self.world.models.items() if m.state == "queued"]
        if taken is None:
            assert not waiting
            return
        assert taken.lease.experiment_id in waiting
        model = self.world.models[taken.lease.experiment_id]
        model.state, model.epoch = "running", 0
        model.attempt, model.fence = model.attempt + 1, model.fence + 1
        assert (taken.attempt, taken.lease.fence) == (model.attempt, model.fence)
        self.leases.append(taken.lease)
        with self.database.transaction() as session:
            checkpoints.begin(session, taken.lease, None)

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def renew(self, pick: int) -> None:
        lease = self.picked(pick)
        with self.refused_unless(model := self.world.held(lease)), self.database.transaction() as session:
            assert lifecycle.renew(session, lease, self.settings) == (model and model.state)

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def record(self, pick: int) -> None:
        lease = self.picked(pick)
        model = self.world.held(lease)
        epoch = model.epoch + 1 if model else 1
        with self.refused_unless(model):
            recording.record(self.database, lease, snapshot(epoch))
        if model:
            model.epoch = epoch

    def _end(self, lease: Lease, verb: Callable, new: Callable[[Model], State], uncharged: bool = False) -> None:
        model = self.world.held(lease)
        with self.refused_unless(model), self.database.transaction() as session:
            verb(session)
        if model:
            model.state, model.attempt = new(model), model.attempt - uncharged

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def finish(self, pick: int) -> None:
        lease = self.picked(pick)
        self._end(lease, lambda s: lifecycle.finish(s, lease), _unless_cancelled("succeeded"))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def fail(self, pick: int) -> None:
        lease = self.picked(pick)
        self._end(lease, lambda s: lifecycle.fail(s, lease, BROKEN), _unless_cancelled("failed"))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def crash(self, pick: int) -> None:
        lease = self.picked(pick)
        self._end(lease, lambda s: lifecycle.crash(s, lease, KILLED, self.settings), Model.died)

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        lease = self.picked(pick)
        self._end(lease, lambda s: lifecycle.release(s, lease), lambda m: m.gone("queued"), uncharged=True)

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def lose(self, pick: int) -> None:
        """The worker is never heard of again."""
        lease = self.picked(pick)
        model = self.world.held(lease)
        if model is None:
            return
        expire(self.database, lease.experiment_id)
        with self.database.transaction() as session:
            reaped = lifecycle.reap(session, self.settings)
        model.state = model.died()
        assert [(e.id, e.state) for e in reaped] == [(lease.experiment_id, model.state)]

    def _ask(self, verb: Callable, experiment: str, moves: dict[State, State]) -> None:
        model = self.world.models.get(experiment)
        with self.refused_unless(model and model.state in moves), self.database.transaction() as session:
            verb(session, experiment)
        if model:
            model.state = moves.get(model.state, model.state)

    @rule(experiment=experiments)
    def cancel(self, experiment: str) -> None:
        at_once = dict.fromkeys(("queued", "paused", "cancelled"), "cancelled")
        self._ask(lifecycle.cancel, experiment, at_once | dict.fromkeys(HELD, "cancelling"))

    @rule(experiment=experiments)
    def pause(self, experiment: str) -> None:
        moves: dict[State, State] = {
            "queued": "paused",
            "paused": "paused",
            "running": "pausing",
            "pausing": "pausing",
        }
        self._ask(lifecycle.pause, experiment, moves)

    @rule(experiment=experiments)
    def resume(self, experiment: str) -> None:
        moves: dict[State, State] = {
            "queued": "queued",
            "paused": "queued",
            "running": "running",
            "pausing": "running",
        }
        self._ask(lifecycle.resume, experiment, moves)

    @rule(target=experiments, experiment=experiments)
    def retry(self, experiment: str):
        model = self.world.models.get(experiment)
        allowed = model and model.state in ("failed", "cancelled")
        with self.refused_unless(allowed), self.database.transaction() as session:
            made = lifecycle.retry(session, experiment)
        return self._submitted(made, model.key) if model and allowed else multiple()

    @rule(target=experiments, experiment=experiments)
    def extend(self, experiment: str):
        model = self.world.models.get(experiment)
        allowed = model and model.state == "succeeded"
        if allowed:
            keep_end(self.database, experiment)
        with self.refused_unless(allowed), self.database.transaction() as session:
            epochs = queries.get(session, experiment).epochs
            made = lifecycle.extend(session, experiment, epochs + 1)
        return self._submitted(made, made.experiment.key) if allowed else multiple()

    @rule(experiment=experiments)
    def delete(self, experiment: str) -> None:
        model = self.world.models.get(experiment)
        with self.refused_unless(model and model.state not in HELD), self.database.transaction() as session:
            lifecycle.delete(session, experiment)
        if model and model.state not in HELD:
            del self.world.models[experiment]

    @invariant()
    def the_record_agrees(self) -> None:
        with self.database.reading() as session:
            rows = {row.id: row for row in session.scalars(select(Experiment))}
        found = {i: Model(r.key, r.state, r.attempt, r.fence, r.epoch) for i, r in rows.items()}
        assert found == self.world.models
        for row in rows.values():
            assert (row.state in HELD) == (row.lease_until is not None) == (row.worker is not None)
            assert (row.state in FINAL) == (row.finished is not None)
            assert row.reason_code or row.state in ("queued", "running")

    def teardown(self) -> None:
        """The events of each experiment are one walk through the diagram, and its metrics are of its last start."""
        for experiment, model in getattr(self, "world", World()).models.items():
            with self.database.reading() as session:
                states = [e.state for e in queries.events(session, experiment)]
                epochs = [r.epoch for r in queries.metrics(session, experiment, ["loss"])]
            assert states[0] == "queued"
            assert states[-1] == model.state
            assert all(after == before or after in MOVES[before] for before, after in pairwise(states))
            assert epochs == list(range(1, model.epoch + 1))


def _unless_cancelled(state: State) -> Callable[[Model], State]:
    return lambda model: "cancelled" if model.state == "cancelling" else state


@pytest.mark.timeout(300)
def test_no_order_of_verbs_leaves_the_diagram(database: Database, settings: Settings) -> None:
    patient = replace(settings, max_attempts=ATTEMPTS, backoff_seconds=1e-9, lease_seconds=3600.0)
    machine = type("OnThisDatabase", (Machine,), {"database": database, "settings": patient})
    few = hypothesis_settings(
        max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
    )
    run_state_machine_as_test(machine, settings=few)
