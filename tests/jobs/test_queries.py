"""Lists by keyset cursors: newest first, filtered, each experiment once, without counting."""

import pytest

from ncmix.jobs import lifecycle, queries, recording
from ncmix.jobs.cursors import CursorError
from ncmix.jobs.database import Database
from ncmix.jobs.queries import Filters
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import UnknownExperimentError
from tests.jobs.helpers import claim, submit
from tests.snapshots import snapshot
from tests.toys import toy


@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_follow_each_other_through_everything(database: Database, oldest_first: bool) -> None:
    ids = [submit(database, toy(seed=seed)).id for seed in range(7)]
    seen, cursor = [], None
    while len(seen) < 7:
        with database.reading() as session:
            page = queries.listing(session, limit=3, cursor=cursor, oldest_first=oldest_first)
        seen += [e.id for e in page.items]
        cursor = page.next_cursor
        submit(database, toy(seed=100 + len(seen)))  # What comes in between does not shift the pages.
    assert seen[:7] == (ids if oldest_first else ids[::-1])
    assert len(set(seen)) == len(seen)


def test_several_come_in_the_order_asked_for(database: Database) -> None:
    ids = [submit(database, toy(seed=seed)).id for seed in range(3)]
    with database.reading() as session:
        assert [e.id for e in queries.several(session, [ids[2], ids[0]])] == [ids[2], ids[0]]
        with pytest.raises(UnknownExperimentError, match="There is no experiment 'nobody'"):
            queries.several(session, [ids[0], "nobody"])


def test_a_page_is_one_statement_and_counts_nothing(database: Database, statements: list[str]) -> None:
    for seed in range(5):
        submit(database, toy(seed=seed, tags=("a",)))
    statements.clear()
    with database.reading() as session:
        page = queries.listing(session, Filters(tag="a", state="queued"), limit=3)
        shown = [(e.title, e.spec, e.progress, e.latest) for e in page.items]
    assert len(shown) == 3
    assert len(selects := [s for s in statements if s.startswith("SELECT")]) == 1
    assert "count(" not in selects[0].lower()


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (Filters(), {"mixup", "erm", "mse"}),
        (Filters(mix="mixup"), {"mixup"}),
        (Filters(loss="cross_entropy"), {"mixup", "erm"}),
        (Filters(tag="paper"), {"erm", "mse"}),
        (Filters(tag="paper", loss="mse"), {"mse"}),
        (Filters(state="cancelled"), {"erm"}),
        (Filters(dataset="gaussian", model="mlp"), {"mixup", "erm", "mse"}),
        (Filters(dataset="cifar10"), set()),
    ],
)
def test_filters(database: Database, filters: Filters, expected: set[str]) -> None:
    submit(database, toy(name="mixup", mix="mixup"))
    erm = submit(database, toy(name="erm", tags=("paper", "baseline")))
    submit(database, toy(name="mse", loss="mse", tags=("paper",)))
    with database.transaction() as session:
        lifecycle.cancel(session, erm.id)
    with database.reading() as session:
        assert {e.title for e in queries.listing(session, filters).items} == expected


@pytest.mark.parametrize("cursor", ["x", "AAAA", "bm90IGEgY3Vyc29y", "é", "MQ"])
def test_a_cursor_that_is_none_is_refused_in_a_sentence(database: Database, cursor: str) -> None:
    with pytest.raises(CursorError, match="is not a cursor; allowed is"), database.reading() as session:
        queries.listing(session, cursor=cursor)


def test_metrics_can_be_chosen(database: Database, settings: Settings) -> None:
    experiment = submit(database, toy())
    lease = claim(database, settings).lease
    for epoch in (1, 2):
        recording.record(database, lease, snapshot(epoch))
    with database.reading() as session:
        chosen = queries.metrics(session, experiment.id, names=["accuracy"], splits=["test"])
        several = queries.metrics(session, experiment.id, names=["accuracy", "loss"])
    assert [(r.epoch, r.value) for r in chosen] == [(1, 0.01), (2, 0.02)]
    assert len(several) == 6


def test_events_go_on_behind_the_last_one_seen(database: Database, settings: Settings) -> None:
    experiment = submit(database, toy())
    claim(database, settings)
    with database.reading() as session:
        first, second = queries.events(session, experiment.id)
        assert [e.id for e in queries.events(session, experiment.id, after=first.id)] == [second.id]
        assert queries.events(session, experiment.id, after=second.id) == []


def test_the_queues_in_which_something_waits(database: Database, settings: Settings) -> None:
    submit(database, toy(seed=1), queue="gpu")
    submit(database, toy(seed=2), queue="cpu")
    with database.reading() as session:
        assert queries.waiting_queues(session, ["cpu", "gpu"]) == ["cpu", "gpu"]
    claim(database, settings)
    with database.reading() as session:
        assert queries.waiting_queues(session, ["cpu", "gpu"]) == ["gpu"]
        assert queries.waiting_queues(session, ["cpu"]) == []


def test_the_unknown_is_an_error_with_a_sentence(database: Database) -> None:
    with database.reading() as session:
        for ask in (queries.get, queries.log, queries.run_of):
            with pytest.raises(UnknownExperimentError, match="There is no experiment 'nobody'"):
                ask(session, "nobody")


def test_a_list_by_the_beginning_or_the_end_of_an_id(database: Database) -> None:
    ids = [submit(database, toy(seed=seed)).id for seed in range(3)]
    with database.reading() as session:
        found = {
            part: [e.id for e in queries.listing(session, Filters(id=part)).items]
            for part in (ids[1], ids[1][-7:], ids[1][:8], "f" * 20)
        }
    assert found[ids[1]] == found[ids[1][-7:]] == [ids[1]]
    assert (len(found[ids[1][:8]]), found["f" * 20]) == (3, [])
