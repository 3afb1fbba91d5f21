"""One record on two databases: transactions are whole, readers block nobody, the clock is the database's."""

import threading
import time

import pytest
from sqlalchemy import JSON, create_engine, inspect, literal, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from ncmix.jobs import lifecycle, queries
from ncmix.jobs.database import Database, create, now, patiently
from ncmix.jobs.fencing import clock
from ncmix.jobs.tables import Experiment
from tests.toys import toy


def test_a_transaction_is_written_whole_or_not_at_all(database: Database) -> None:
    def submit_and_stumble() -> None:
        with database.transaction() as session:
            lifecycle.submit(session, toy(), "cpu")
            raise RuntimeError("stumbled")

    with pytest.raises(RuntimeError, match="stumbled"):
        submit_and_stumble()
    with database.reading() as session:
        assert queries.listing(session).items == []


def test_a_sign_of_life_is_written_without_waiting_for_the_disk(database: Database) -> None:
    with database.passing() as session:
        lifecycle.submit(session, toy(), "cpu")
        if database.engine.dialect.name == "postgresql":
            assert session.scalar(text("SHOW synchronous_commit")) == "off"
    with database.transaction() as session:
        assert len(queries.listing(session).items) == 1
        if database.engine.dialect.name == "postgresql":
            assert session.scalar(text("SELECT setting = reset_val FROM pg_settings WHERE name = 'synchronous_commit'"))


def test_the_clock_is_the_databases_and_counts_fractions_of_seconds(database: Database) -> None:
    with database.reading() as session:
        first, second = clock(session), session.scalars(select(now() + 60.0)).one()
    assert abs(first - time.time()) < 5
    assert 59.9 < second - first < 65
    assert first != int(first)


def test_a_reader_sees_one_instant_and_does_not_block_a_writer(database: Database) -> None:
    with database.reading() as reader:
        before = queries.listing(reader).items
        with database.transaction() as writer:
            lifecycle.submit(writer, toy(), "cpu")
        assert queries.listing(reader).items == before == []
    with database.reading() as later:
        assert len(queries.listing(later).items) == 1


def test_writers_of_many_threads_all_get_through(database: Database) -> None:
    def write(seed: int) -> None:
        with database.transaction() as session:
            lifecycle.submit(session, toy(seed=seed), "cpu")

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with database.reading() as session:
        assert len(queries.listing(session).items) == 24


def test_writers_of_several_processes_do_not_see_a_locked_sqlite(sqlite_url: str) -> None:
    """Another `Database` has another lock, as another process has: there only BEGIN IMMEDIATE helps."""
    several = [Database(sqlite_url) for _ in range(4)]
    failures: list[Exception] = []

    def write(database: Database, start: int) -> None:
        try:
            for seed in range(start, start + 10):
                with database.transaction() as session:
                    lifecycle.submit(session, toy(seed=seed), "cpu")
        except OperationalError as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(d, 100 * i)) for i, d in enumerate(several)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    with several[0].reading() as session:
        assert (len(queries.listing(session, limit=100).items), failures) == (40, [])
    for database in several:
        database.dispose()


def test_sqlite_is_set_up_for_many_readers_and_one_writer(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    with database.reading() as session:
        pragmas = {name: session.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "foreign_keys")}
        pragmas |= {name: session.scalar(text(f"PRAGMA {name}")) for name in ("page_size", "auto_vacuum")}
    database.dispose()
    assert pragmas == {"journal_mode": "wal", "foreign_keys": 1, "page_size": 16384, "auto_vacuum": 2}


@pytest.mark.postgres
def test_postgresql_does_not_try_to_compress_features(postgres_url: str) -> None:
    engine = create_engine(postgres_url)
    query = "SELECT attstorage FROM pg_attribute WHERE attrelid = 'feature_chunk'::regclass AND attname = 'data'"
    with engine.connect() as connection:
        assert connection.scalar(text(query)) == "e"
    engine.dispose()


@pytest.mark.parametrize(
    "value", [{"a": [1, 0.1, 1e-320, 2**70, None, True], "é😀": '\x00\u2028"'}, float("inf"), "half a pair: \ud83d"]
)
def test_json_comes_back_as_it_was_written(sqlite_url: str, value: object) -> None:
    engine = create(sqlite_url)
    with engine.connect() as connection:
        found = connection.scalar(select(literal(value, JSON)))
    assert (type(found), found) == (type(value), value)
    engine.dispose()


def test_patience_outlasts_a_short_outage_and_then_gives_up() -> None:
    answers = iter([OperationalError("", {}, Exception()), OperationalError("", {}, Exception()), "there"])

    def ask() -> str:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def never() -> str:
        raise OperationalError("", {}, Exception())

    assert patiently(ask, 10) == "there"
    with pytest.raises(OperationalError):
        patiently(never, 0)


def test_deleting_an_experiment_takes_everything_that_refers_to_it(database: Database) -> None:
    tables = inspect(database.engine).get_table_names()
    refer = {t for t in tables if t not in ("experiment", "alembic_version")}

    def count(session: Session) -> dict[str, int | None]:
        return {t: session.scalar(text(f"SELECT count(*) FROM {t}")) for t in refer}  # noqa: S608 - our own names

    with database.transaction() as session:
        experiment = lifecycle.submit(session, toy(tags=("a", "b")), "cpu").experiment
        assert count(session)["experiment_tag"] == 2
    with database.transaction() as session:
        lifecycle.delete(session, experiment.id)
    with database.reading() as session:
        assert session.get(Experiment, experiment.id) is None
        assert set(count(session).values()) == {0}
