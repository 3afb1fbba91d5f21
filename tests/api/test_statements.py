"""How much an answer asks of the database: the same few statements however much is on record, none of them a count."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Connection, Engine, event

from tests.api.lives import Lives
from tests.toys import toy

HERE = "/api/v1/experiments"
Statement = tuple[str, Any]

# The statements each answer needs, at one experiment as at many.
READS = {
    "": 1,
    "?limit=200": 1,
    "?order=oldest&state=queued": 1,
    "?dataset=gaussian&model=mlp&loss=cross_entropy&mix=none": 1,
    "?tag=a": 1,
    "?sweep=0193b2a4f1c07d1e9a3c": 1,
    "/{id}": 1,
    "/{id}/metrics": 2,
    "/{id}/metrics?name=nc1&split=train": 2,
    "/{id}/metrics.csv": 2,
    "/{id}/log": 2,
    "/{id}/events": 2,
    "/{id}/plots": 2,
}
# Lists that need no sorting, by the index that gives their order.
ORDERED = {
    "": "ix_experiment_created_id",
    "?order=oldest": "ix_experiment_created_id",
    "?state=queued": "ix_experiment_state_created_id",
}


@contextmanager
def asked_of() -> Iterator[list[Statement]]:
    """What endpoints ask of the database within the block, but for the beginnings of transactions."""
    asked: list[Statement] = []

    def note(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: object) -> None:
        # Endpoints run in the event loop or the pool of threads, the service's duties in threads of their own.
        # Whether there is any key the gate asks once in a while, not for each answer.
        answers = any(name in threading.current_thread().name for name in ("AnyIO", "asyncio-portal"))
        if answers and "FROM api_key" not in statement and not statement.startswith("BEGIN"):
            asked.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", note)
    yield asked
    event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
def engine(client: TestClient) -> Engine:
    """That of the running API."""
    return client.app.state.context.database.engine


def plan(engine: Engine, statement: Statement) -> str:
    """How the database would answer if the tables were large: then it would not read or sort them as a whole."""
    text, parameters = statement
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", parameters)
            return "\n".join(row[-1] for row in rows)
        for way in ("seqscan", "bitmapscan", "sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {text}", parameters))


@pytest.mark.parametrize(("path", "count"), READS.items())
def test_an_answer_needs_the_same_few_statements_however_much_there_is(client: TestClient, lives: Lives, path, count):
    experiment = lives.done(epochs=1, tags=["a"])
    for seed in (0, 12):
        for further in range(1, seed):
            lives.done(seed=further, epochs=3, tags=["a"])
        with asked_of() as asked:
            assert client.get(f"{HERE}{path.format(id=experiment)}").is_success
        assert len(asked) == count, asked
        assert not any("count(" in statement.lower() for statement, _ in asked)


def test_a_post_needs_as_many_statements_however_much_there_is(client: TestClient, lives: Lives):
    counts = set()
    for seed in (100, 101, 102):
        with asked_of() as asked:
            assert client.post(HERE, json={"dataset": "digits", "model": "mlp", "seed": seed}).status_code == 201
        counts.add(len(asked))
        for further in range(10):
            lives.queued(seed=10 * seed + further)
    # The sixth is the room that features under way will take, where a disk or a quota bounds it.
    assert counts <= {5} or counts == {6}


@pytest.mark.parametrize(("path", "index"), ORDERED.items())
def test_a_page_comes_in_order_from_an_index(client: TestClient, lives: Lives, engine, path, index):
    for seed in range(3):
        lives.queued(seed=seed)
    first = f"{HERE}{path}{'&' if path else '?'}limit=1"
    further = client.get(first).headers["link"].partition(">")[0].removeprefix("<")
    for page in (first, further):
        with asked_of() as asked:
            client.get(page).raise_for_status()
        found = plan(engine, asked[0])
        assert index in found
        assert "TEMP B-TREE" not in found
        assert "Sort" not in found


def test_metrics_are_read_by_their_key(client: TestClient, lives: Lives, engine):
    experiment = lives.done(epochs=2)
    with asked_of() as asked:
        client.get(f"{HERE}/{experiment}/metrics?name=nc1").raise_for_status()
    found = plan(engine, asked[-1])
    assert "USING PRIMARY KEY (experiment_id=?)" in found or "pk_metric" in found, found


def test_a_picture_that_is_kept_reads_ids_and_revisions_alone(client: TestClient, lives: Lives):
    lives.done()
    sweep = client.post("/api/v1/sweeps", json={"base": toy().model_dump(mode="json"), "grid": {}}).json()["id"]
    (one,) = client.get(f"{HERE}?sweep={sweep}").json()["items"]
    for asked in (f"{HERE}/{one['id']}/plots/nc.png", f"/api/v1/compare/plots/nc.png?sweep={sweep}"):
        drawn = client.get(asked)
        with asked_of() as statements:
            assert client.get(asked).content == drawn.content
        assert drawn.status_code == 200
        assert len(statements) <= 2
        assert not any("spec" in statement or "latest" in statement for statement, _ in statements)
