"""Sweeps on record: all cells or none, nothing twice, and what failed or was deleted is filled up again."""

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from ncmix.jobs import estimates, lifecycle, progress, queries, recording, sweep_tables, sweeps
from ncmix.jobs.database import Database
from ncmix.jobs.queries import Filters
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import NotAllowedError, Reason
from ncmix.jobs.sweep_tables import AxisError, Statistic, Table
from ncmix.jobs.sweeps import Filled, UnknownSweepError
from ncmix.jobs.tables import Experiment
from ncmix.results import Metric, Snapshot
from ncmix.spec import expand, parse_sweep
from tests.jobs.helpers import claim, get, submit
from tests.toys import toy

BASE = toy().model_dump(mode="json")
GRID = {"loss": ["cross_entropy", "mse"], "mix": ["none", "mixup"]}
CELLS = 8  # of GRID with two seeds


class Sweeper:
    """Sweeps in transactions of their own, on one database."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self.database, self.settings = database, settings

    def post(self, **fields: Any) -> Filled:
        """Submit a sweep over BASE, by default GRID with two seeds."""
        definition = parse_sweep({"base": BASE, **(fields or {"grid": GRID, "seeds": 2})})
        expansion = expand(definition)
        with self.database.transaction() as session:
            return sweeps.submit(session, definition, expansion, self.settings)

    def retry(self, sweep_id: str) -> Filled:
        """Fill it up."""
        with self.database.transaction() as session:
            return sweeps.retry(session, sweep_id, self.settings)

    def cancel(self, sweep_id: str) -> list[str]:
        """Cancel it; gives what is asked to end."""
        with self.database.transaction() as session:
            return [experiment.id for experiment in sweeps.cancel(session, sweep_id)]

    def delete(self, sweep_id: str, *, experiments: bool = False) -> list[str]:
        """Delete it."""
        with self.database.transaction() as session:
            return sweeps.delete(session, sweep_id, experiments=experiments)

    def states(self, sweep_id: str) -> dict[str, int]:
        """Its cells by state."""
        with self.database.reading() as session:
            return dict(progress.of(session, [sweep_id])[sweep_id].states)

    def ids(self, sweep_id: str) -> list[str]:
        """Its experiments, oldest first."""
        with self.database.reading() as session:
            page = queries.listing(session, Filters(sweep=sweep_id), limit=10_000, oldest_first=True)
        return [experiment.id for experiment in page.items]

    def table(self, sweep_id: str, *metrics: str, **options: Any) -> Table:
        """Its table, of the test split."""
        with self.database.reading() as session:
            return sweep_tables.table(session, sweep_id, metrics, ("test",), **options)

    def run(self, value: float, *, fail: bool = False) -> str:
        """Claim the next experiment, record a value of nc1 in two epochs, and end it; gives its id."""
        lease = claim(self.database, self.settings).lease
        for epoch in (1, 2):
            metrics = (Metric("test", "nc1", value * epoch), Metric("test", "nc3", None, "undefined"))
            recording.record(self.database, lease, Snapshot(epoch, metrics, (), seconds=2.0))
        with self.database.transaction() as session:
            if fail:
                lifecycle.fail(session, lease, Reason("error", "It was told to."))
            else:
                lifecycle.finish(session, lease)
        return lease.experiment_id


@pytest.fixture
def sweeper(database: Database, settings: Settings) -> Sweeper:
    """Sweeps on the test's database."""
    return Sweeper(database, settings)


def test_a_sweep_is_its_cells_in_the_queue_in_order(sweeper: Sweeper) -> None:
    filled = sweeper.post(grid=GRID, seeds=2, name="study", tags=["paper"])
    assert (filled.created, len(filled.made), filled.shared) == (True, CELLS, 0)
    assert sweeper.states(filled.sweep.id) == {"queued": CELLS}
    rows = [get(sweeper.database, i) for i in sweeper.ids(filled.sweep.id)]
    assert [(e.loss, e.mix, e.spec["seed"]) for e in rows] == [
        (loss, mix, seed) for loss in GRID["loss"] for mix in GRID["mix"] for seed in (0, 1)
    ]
    assert {(e.state, e.queue, e.revision, e.epoch, tuple(e.spec["tags"])) for e in rows} == {
        ("queued", "cpu", 1, 0, ("paper",))
    }
    with sweeper.database.reading() as session:
        events = [[(e.kind, e.state, e.data) for e in queries.events(session, row.id)] for row in rows]
        assert queries.listing(session, Filters(tag="paper")).items
    assert events == [[("submitted", "queued", {})]] * CELLS
    assert claim(sweeper.database, sweeper.settings).lease.experiment_id == rows[0].id


def test_the_same_sweep_again_makes_nothing(sweeper: Sweeper) -> None:
    first = sweeper.post(grid=GRID, seeds=2)
    again = sweeper.post(
        grid={**GRID, "mix": [{"kind": "none"}, {"kind": "mixup", "alpha": 1}]}, seeds=[0, 1], name="x"
    )
    assert (again.sweep.id, again.created, again.made, again.shared) == (first.sweep.id, False, (), 0)
    assert again.sweep.name == ""


def test_what_is_on_record_is_shared_and_does_not_run_twice(sweeper: Sweeper) -> None:
    alone = submit(sweeper.database, toy(mix="mixup", seed=1))
    first = sweeper.post()
    assert (len(first.made), first.shared) == (CELLS - 1, 1)
    assert alone.id in sweeper.ids(first.sweep.id)
    second = sweeper.post(grid={**GRID, "loss": ["mse", "bce"]}, seeds=3)
    assert (len(second.made), second.shared) == (8, 4)
    with sweeper.database.reading() as session:
        assert len(queries.listing(session, limit=200).items) == CELLS + 8


def test_what_failed_was_cancelled_or_is_gone_runs_again_and_nothing_else(sweeper: Sweeper) -> None:
    sweep = sweeper.post().sweep
    good, bad = sweeper.run(1.0), sweeper.run(2.0, fail=True)
    waiting = [i for i in sweeper.ids(sweep.id) if i not in (good, bad)]
    with sweeper.database.transaction() as session:
        lifecycle.cancel(session, waiting[0])
        lifecycle.delete(session, waiting[1])
    assert sweeper.states(sweep.id) == {"cancelled": 1, "failed": 1, "missing": 1, "queued": 4, "succeeded": 1}
    filled = sweeper.retry(sweep.id)
    assert (len(filled.made), filled.shared) == (3, 0)
    assert sweeper.states(sweep.id) == {"queued": 7, "succeeded": 1}
    assert good in sweeper.ids(sweep.id)
    assert bad not in sweeper.ids(sweep.id)
    assert get(sweeper.database, bad).state == "failed"
    assert sweeper.retry(sweep.id).made == sweeper.post().made == ()


def test_a_cell_that_was_retried_by_itself_stands_in_every_sweep(sweeper: Sweeper) -> None:
    first, second = sweeper.post(), sweeper.post(grid=GRID)
    bad = sweeper.run(1.0, fail=True)
    with sweeper.database.transaction() as session:
        again = lifecycle.retry(session, bad).experiment
    for sweep in (first.sweep, second.sweep):
        assert again.id in sweeper.ids(sweep.id)
        assert "failed" not in sweeper.states(sweep.id)


def test_a_rerun_of_what_succeeded_takes_no_place(sweeper: Sweeper) -> None:
    sweep = sweeper.post(grid={"mix": ["none"]}).sweep
    good = sweeper.run(1.0)
    with sweeper.database.transaction() as session:
        assert lifecycle.submit(session, toy(), "cpu", rerun=True).created
    assert sweeper.ids(sweep.id) == [good]


def test_cancelling_ends_what_waits_and_what_runs_but_nothing_that_somebody_else_wants(sweeper: Sweeper) -> None:
    alone = submit(sweeper.database, toy(loss="mse", mix="mixup", seed=1))
    sweep, other = sweeper.post().sweep, sweeper.post(grid=GRID).sweep
    claim(sweeper.database, sweeper.settings)
    sweeper.run(1.0)
    ended = sweeper.cancel(sweep.id)
    # One is the first's alone; those of seed 0 are in the other sweep; one was there before both.
    assert Counter(get(sweeper.database, i).spec["seed"] for i in ended) == {1: 3}
    assert get(sweeper.database, alone.id).state == "running"
    assert sweeper.cancel(sweep.id) == []
    ended = sweeper.cancel(other.id)
    assert {get(sweeper.database, i).spec["seed"] for i in ended} == {0}
    assert sweeper.states(other.id) == {"cancelled": 3, "succeeded": 1}
    with sweeper.database.reading() as session:
        assert sweeps.get(session, sweep.id).cancelled is not None
    sweeper.retry(sweep.id)
    with sweeper.database.reading() as session:
        assert sweeps.get(session, sweep.id).cancelled is None
    assert sweeper.states(sweep.id)["queued"] == 6


def test_what_runs_is_asked_to_end_and_what_ended_stays(sweeper: Sweeper) -> None:
    sweep = sweeper.post().sweep
    sweeper.run(1.0)
    running = claim(sweeper.database, sweeper.settings).lease.experiment_id
    assert running in sweeper.cancel(sweep.id)
    assert sweeper.states(sweep.id) == {"cancelled": CELLS - 2, "cancelling": 1, "succeeded": 1}
    with sweeper.database.reading() as session:
        assert [e.kind for e in queries.events(session, running)] == ["submitted", "claimed", "cancel_asked"]


def test_a_sweep_can_go_alone_or_with_its_own_experiments(sweeper: Sweeper) -> None:
    alone = submit(sweeper.database, toy(loss="mse", mix="mixup", seed=1))
    first, second = sweeper.post().sweep, sweeper.post(grid=GRID).sweep
    assert sweeper.delete(second.id) == []
    assert len(sweeper.ids(first.id)) == CELLS
    claim(sweeper.database, sweeper.settings)  # the one that stands alone
    claim(sweeper.database, sweeper.settings)
    with pytest.raises(NotAllowedError, match="is running; cancel it before deleting it"):
        sweeper.delete(first.id, experiments=True)
    assert sum(sweeper.states(first.id).values()) == CELLS
    with sweeper.database.transaction() as session:
        for row in queries.listing(session, Filters(sweep=first.id, state="running")).items:
            row.state = "failed"
    deleted = sweeper.delete(first.id, experiments=True)
    assert len(deleted) == CELLS - 1
    with sweeper.database.reading() as session:
        assert [e.id for e in queries.listing(session).items] == [alone.id]


def test_the_unknown_is_an_error_with_a_sentence(sweeper: Sweeper) -> None:
    for ask in (sweeper.retry, sweeper.cancel, sweeper.delete, sweeper.table):
        with pytest.raises(UnknownSweepError, match="There is no sweep 'nobody'"):
            ask("nobody")


THOUSAND: dict[str, Any] = {"grid": GRID, "seeds": 250}


def test_a_thousand_cells_take_few_statements(sweeper: Sweeper, statements: list[str]) -> None:
    filled = sweeper.post(**THOUSAND)
    assert len(filled.made) == 1000
    # Rows go in batches of as many as a statement may have parameters; none is asked for by itself.
    assert len(statements) < 25
    statements.clear()
    assert sweeper.post(**THOUSAND).made == ()
    assert len(statements) < 10
    statements.clear()
    assert sweeper.states(filled.sweep.id) == {"queued": 1000}
    assert len(statements) < 3
    statements.clear()
    assert len(sweeper.table(filled.sweep.id, "nc1").groups) == 4
    assert len(statements) < 4
    statements.clear()
    assert len(sweeper.cancel(filled.sweep.id)) == 1000
    # SQLite gives out the numbers of events one by one.
    assert len([s for s in statements if not s.startswith("INSERT INTO event")]) < 12
    statements.clear()
    assert len(sweeper.retry(filled.sweep.id).made) == 1000
    assert len(statements) < 25


def test_two_who_post_the_same_sweep_at_once_make_it_once(sweeper: Sweeper) -> None:
    gate, given = threading.Barrier(6), []

    def post(fields: dict[str, Any]) -> None:
        gate.wait()
        given.append(sweeper.post(**fields))

    # Two sweeps that share half of their cells, each posted three times.
    wanted = [{"grid": GRID, "seeds": 5}, {"grid": {**GRID, "loss": ["mse", "bce"]}, "seeds": 5}] * 3
    threads = [threading.Thread(target=post, args=(fields,)) for fields in wanted]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({filled.sweep.id for filled in given}) == 2
    assert sum(filled.created for filled in given) == 2
    assert sum(len(filled.made) for filled in given) == 30
    assert {sum(sweeper.states(filled.sweep.id).values()) for filled in given} == {20}
    with sweeper.database.reading() as session:
        found = queries.listing(session, limit=200).items
    assert len(found) == len({experiment.key for experiment in found}) == 30


def nc1(table: Table) -> list[Statistic]:
    """Of each group."""
    return [group.metrics["test"]["nc1"] for group in table.groups]


def test_the_table_is_that_of_numpy(sweeper: Sweeper) -> None:
    sweep = sweeper.post(grid=GRID, seeds=3).sweep
    values = np.random.default_rng(0).lognormal(size=(4, 3))
    for value in values.flat:
        sweeper.run(float(value))
    table = sweeper.table(sweep.id, "nc1", "nc3")
    assert table.fields == ["loss.kind", "mix.kind"]
    assert [tuple(g.fields.values()) for g in table.groups] == [
        (loss, mix) for loss in GRID["loss"] for mix in GRID["mix"]
    ]
    assert [(g.cells, g.succeeded, g.metrics["test"]["nc3"]) for g in table.groups] == [
        (3, 3, Statistic(0, None, None))
    ] * 4
    assert [s.mean for s in nc1(table)] == pytest.approx((2 * values).mean(1), rel=1e-14)
    assert [s.std for s in nc1(table)] == pytest.approx((2 * values).std(1, ddof=1), rel=1e-14)
    # By one field the mean is over all else.
    by_mix = sweeper.table(sweep.id, "nc1", by=["mix.kind"])
    both = 2 * values.reshape(2, 2, 3).transpose(1, 0, 2).reshape(2, 6)
    assert [s.mean for s in nc1(by_mix)] == pytest.approx(both.mean(1), rel=1e-14)
    assert [s.std for s in nc1(by_mix)] == pytest.approx(both.std(1, ddof=1), rel=1e-14)
    first = sweeper.table(sweep.id, "nc1", epoch=1)
    assert [s.mean for s in nc1(first)] == pytest.approx(values.mean(1), rel=1e-14)


def test_only_what_succeeded_counts_unless_an_epoch_is_named(sweeper: Sweeper) -> None:
    sweep = sweeper.post(grid={"mix": ["none", "mixup"]}, seeds=2).sweep
    sweeper.run(1.0)
    sweeper.run(3.0, fail=True)
    assert nc1(sweeper.table(sweep.id, "nc1")) == [Statistic(1, 2.0, None), Statistic(0, None, None)]
    assert nc1(sweeper.table(sweep.id, "nc1", epoch=1))[0] == Statistic(2, 2.0, pytest.approx(2**0.5))
    assert nc1(sweeper.table(sweep.id, "nc1", epoch=7)) == [Statistic(0, None, None)] * 2


def test_a_field_that_does_not_vary_is_no_axis(sweeper: Sweeper) -> None:
    sweep = sweeper.post().sweep
    with pytest.raises(AxisError, match=r"does not vary 'optimizer\.lr'; it varies loss, mix, seed"):
        sweeper.table(sweep.id, "nc1", by=["loss", "optimizer.lr"])


def test_progress_and_what_is_left(sweeper: Sweeper) -> None:
    sweep = sweeper.post(grid={"mix": ["none", "mixup"]}, seeds=2).sweep

    def far() -> progress.Progress:
        with sweeper.database.reading() as session:
            return progress.of(session, [sweep.id])[sweep.id]

    assert (far().progress, far().eta_seconds) == (0.0, None)
    sweeper.run(1.0)
    assert (far().progress, far().eta_seconds) == (0.25, None)
    lease = claim(sweeper.database, sweeper.settings).lease
    recording.record(sweeper.database, lease, Snapshot(1, (), (), seconds=4.0))
    # 3 of 3 and 1 of 3 epochs are done of 12; the other 8 take 3 s each, the mean of 2 and 4, on one worker.
    assert far().progress == pytest.approx(4 / 12)
    assert far().eta_seconds == pytest.approx(8 * 3.0)
    with sweeper.database.transaction() as session:
        lifecycle.delete(session, sweeper.ids(sweep.id)[3])
    assert far().progress == pytest.approx(4 / 12)


def specs(n: int, **changes: Any) -> Sequence[Any]:
    return [toy(seed=100 + i, **changes) for i in range(n)]


def test_an_estimate_comes_from_what_finished_runs_took(sweeper: Sweeper) -> None:
    def estimate(*changes: dict[str, Any]) -> estimates.Estimate:
        with sweeper.database.reading() as session:
            return estimates.estimate(session, [spec for each in changes for spec in specs(2, **each)])

    unknown = estimate({})
    assert (unknown.seconds, unknown.checkpoint_bytes) == (None, None)
    assert unknown.seconds_reason == "No finished run of gaussian with mlp tells a pace."
    # Two runs; 3 classes of 40 and 10 samples, 8 features of 2 bytes, W and b; four times what sums them up.
    assert unknown.feature_bytes == 2 * (3 * (40 + 10) * (8 * 2 + 8) + 4 * 3 * 9 + 4 * (4 * 9 + 4 * 45 + 4 * 32))
    submit(sweeper.database, toy())
    sweeper.run(1.0)
    known = estimate({"epochs": 10})
    assert (known.seconds, known.seconds_reason) == (2 * 10 * 2.0, None)
    more = estimate({}, {"dataset": "digits"}, {"dataset": "mnist"})
    assert more.seconds_reason == "No finished run of digits with mlp tells a pace, nor of 1 other kinds."
    assert estimate().seconds == 0.0


def test_lists_go_on_page_by_page(sweeper: Sweeper) -> None:
    made = [sweeper.post(grid={"epochs": [n]}).sweep.id for n in range(1, 6)]
    seen: list[str] = []
    cursor = None
    while len(seen) < 5:
        with sweeper.database.reading() as session:
            page = sweeps.listing(session, 2, cursor)
        seen += [sweep.id for sweep in page.items]
        cursor = page.next_cursor
    assert seen == made[::-1]
    assert cursor is None


def test_a_hint_for_each_worker_that_may_wait(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from ncmix.jobs.queue import Hints  # noqa: PLC0415

    sent: list[str] = []
    hints = Hints(settings)
    monkeypatch.setattr(hints, "wake", lambda queue: sent.append(queue) or queue == "cpu")
    hints.wake_all(["cpu"] * 3 + ["gpu"] * 500)
    hints.close()
    assert Counter(sent) == {"cpu": 3, "gpu": 1}  # the broker refused the first


def test_many_that_are_cancelled_at_once_are_locked_in_one_order(sweeper: Sweeper) -> None:
    sweep = sweeper.post().sweep
    ids = sweeper.ids(sweep.id)
    given: list[Experiment] = []

    def cancel(order: list[str]) -> None:
        with sweeper.database.transaction() as session:
            given.extend(lifecycle.cancel_all(session, order))

    threads = [threading.Thread(target=cancel, args=(order,)) for order in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(experiment.id for experiment in given) == ids
