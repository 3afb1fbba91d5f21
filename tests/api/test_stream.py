"""An experiment followed by server-sent events: everything once and in order, by many, over restarts, to its end."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace

import fastapi.routing
import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from ncmix.jobs import checkpoints, lifecycle
from ncmix.jobs.following import Cursor, FollowError
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Reason
from tests.api.following import Message, Running, epochs, messages, read, serving, text
from tests.api.lives import Lives
from tests.jobs.helpers import claim, rested
from tests.servers import Api, wait_for

HERE = "/api/v1/experiments"


@pytest.fixture
def running(settings: Settings) -> Iterator[Running]:
    """The service on a real uvicorn."""
    with serving(settings) as running:
        yield running


def follow(running: Running, experiment: str, last: str | None = None, most: int = 10**9) -> list[Message]:
    """The events of one experiment's stream."""

    async def go() -> list[Message]:
        async with httpx2.AsyncClient(timeout=20) as client:
            return await read(f"{running.url}/{experiment}/stream", client, last, most)

    return asyncio.run(go())


def test_one_that_has_ended_is_told_whole_and_closed(running: Running, lives: Lives):
    lease = lives.running(epochs=3)
    lives.log(lease, "epoch 1 · λ\n".encode())
    lives.fail(lease, Reason("oom", "The GPU has no memory left."))
    found = follow(running, lease.experiment_id)
    assert [m.event for m in found] == ["experiment", "metrics", "log", "end"]
    experiment, metrics, log, end = (m.data for m in found)
    address = f"{running.url}/{lease.experiment_id}"
    assert experiment == httpx2.get(address).json()
    assert metrics == {"epoch": 3, **httpx2.get(f"{address}/metrics").json()}
    assert log == {"offset": 0, "text": "epoch 1 · λ\n"}
    # The end of a log is no success.
    assert end == {"state": "failed", "reason": {"code": "oom", "message": "The GPU has no memory left."}}
    assert [m.event for m in follow(running, lease.experiment_id, found[-1].id)] == ["end"]


def test_from_every_id_it_goes_on_without_gap_or_repetition(running: Running, lives: Lives, monkeypatch):
    monkeypatch.setattr("ncmix.jobs.following.EVENTS_AT_ONCE", 3)
    monkeypatch.setattr("ncmix.jobs.following.LOG_BYTES_AT_ONCE", 7)
    lease = lives.running(epochs=8)
    lives.log(lease, "λλλλλλλλ\n".encode() * 3)
    lives.finish(lease)
    whole = follow(running, lease.experiment_id)
    assert (epochs(whole), text(whole)) == ([1, 2, 3, 4, 5, 6, 7, 8], "λλλλλλλλ\n" * 3)
    # It may be cut into other pieces then.
    for seen, message in enumerate(whole, start=1):
        rest = follow(running, lease.experiment_id, message.id)
        assert epochs([*whole[:seen], *rest]) == [1, 2, 3, 4, 5, 6, 7, 8]
        assert text([*whole[:seen], *rest]) == "λλλλλλλλ\n" * 3


def test_what_an_attempt_goes_back_behind_is_void_and_comes_again(running: Running, lives: Lives, settings: Settings):
    database = lives.database
    lease = lives.running(epochs=2)
    with database.transaction() as session:
        checkpoints.record(session, lease, checkpoints.File("epoch-000002.pt", 2, 0, "0" * 64, 4), 2)
    lives.record(lease, 3, 4)
    first = follow(running, lease.experiment_id, most=2)
    with database.transaction() as session:
        lifecycle.crash(session, lease, Reason("killed", "It was killed."), settings)
    rested(database, lease.experiment_id)
    second = claim(database, settings).lease
    with database.transaction() as session:
        from_two = checkpoints.usable(session, session.get_one(checkpoints.Experiment, lease.experiment_id))[0]
        checkpoints.begin(session, second, from_two)
    (_, void) = follow(running, lease.experiment_id, first[-1].id, most=2)
    assert void.data == {"epoch": 2, "items": []}
    lives.record(second, 3)
    lives.finish(second)
    rest = follow(running, lease.experiment_id, void.id)
    assert (epochs(first), epochs(rest)) == ([1, 2, 3, 4], [3])
    assert epochs(follow(running, lease.experiment_id)) == [1, 2, 3]


def test_what_was_taken_over_from_the_run_that_it_extends_comes_too(running: Running, lives: Lives, settings: Settings):
    database = lives.database
    lease = lives.running(epochs=3)
    with database.transaction() as session:
        checkpoints.record(session, lease, checkpoints.File("epoch-000003.pt", 3, 0, "0" * 64, 4), 1)
    parent = lives.finish(lease)
    with database.transaction() as session:
        longer = lifecycle.extend(session, parent, 4).experiment
    seen = follow(running, longer.id, most=1)
    second = claim(database, settings).lease
    with database.transaction() as session:
        checkpoints.begin(session, second, checkpoints.usable(session, longer)[0])
    lives.record(second, 4)
    lives.finish(second)
    assert epochs(follow(running, longer.id, seen[-1].id)) == [1, 2, 3, 4]


def test_many_share_one_question_and_hold_no_connection(running: Running, lives: Lives):
    lease = lives.running(epochs=1)
    address, count = f"{running.url}/{lease.experiment_id}/stream", 60
    engine, asked = running.context.database.engine, []
    event.listen(engine, "before_cursor_execute", lambda *words: asked.append(words[2]))

    async def go() -> list[list[Message]]:
        limits = httpx2.Limits(max_connections=None)
        async with httpx2.AsyncClient(timeout=30, limits=limits) as client, asyncio.TaskGroup() as group:
            readers = [group.create_task(read(address, client)) for _ in range(count)]
            feeds = running.context.watch._feeds
            await until(lambda: feeds and feeds[lease.experiment_id].viewers == count)
            await asyncio.sleep(3 * running.context.settings.stream_seconds)
            asked.clear()
            assert engine.pool.checkedout() <= 1  # type: ignore[attr-defined] - the beat itself
            for epoch in (2, 3, 4):
                await asyncio.to_thread(lives.record, lease, epoch)
            await asyncio.to_thread(lives.finish, lease)
        return [await reader for reader in readers]

    found = asyncio.run(go())
    assert [epochs(each) for each in found] == [[1, 2, 3, 4]] * count
    assert all(each[-1].data["state"] == "succeeded" for each in found)
    # A handful for each of at most four changes and each beat, and not one for each of sixty.
    assert len(asked) < count
    wait_for(lambda: not running.context.watch._feeds, "That nobody is left")


async def until(condition) -> None:
    """Return once it holds."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def test_a_silent_stream_shows_that_it_lives_and_whoever_leaves_is_forgotten(
    running: Running, lives: Lives, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.1)
    experiment = lives.queued()

    with httpx2.stream("GET", f"{running.url}/{experiment}/stream", timeout=20) as answer:
        told = (line for line in answer.iter_lines() if line.startswith((":", "event:")))
        assert next(told) == f": {experiment}"
        assert "event: experiment" in told  # and what came before is passed over
        assert next(told) == ": ping"
        assert running.context.watch._feeds[experiment].viewers == 1
    wait_for(lambda: not running.context.watch._feeds, "That it is forgotten")


def test_one_that_is_deleted_ends(running: Running, lives: Lives):
    experiment = lives.queued()

    async def go() -> list[Message]:
        async with httpx2.AsyncClient(timeout=20) as client:
            reader = asyncio.create_task(read(f"{running.url}/{experiment}/stream", client))
            await until(lambda: experiment in running.context.watch._feeds)
            await client.delete(f"{running.url}/{experiment}")
            return await reader

    assert asyncio.run(go())[-1].data == {"state": "deleted", "reason": None}


def test_over_a_restart_of_the_service_nothing_is_missed(environment: dict[str, str], lives: Lives):
    """Stopped in the usual way it lets its readers go at once; they come again with their last id."""
    # The service reaps, and must not take it away from a slow test.
    lives = replace(lives, settings=replace(lives.settings, lease_seconds=600.0))
    lease = lives.running(epochs=2)

    async def part(api: Api) -> list[Message]:
        found: list[Message] = []
        async with httpx2.AsyncClient(timeout=20) as client:
            async for message in messages(f"{api.url}{HERE}/{lease.experiment_id}/stream", client):
                if isinstance(message, Message):
                    found.append(message)
                if found and found[-1].event == "metrics" and api.process and api.process.poll() is None:
                    api.process.terminate()
        return found

    with Api(environment) as api:
        first = asyncio.run(part(api))
        began = time.monotonic()
        assert api.process is not None
        api.process.wait(20)
        assert time.monotonic() - began < 4  # above the time after which connections would be cut off
        assert "Cancel" not in api.log
        lives.record(lease, 3)
        lives.finish(lease)
        api.start()

        async def rest() -> list[Message]:
            async with httpx2.AsyncClient(timeout=20) as client:
                return await read(f"{api.url}{HERE}/{lease.experiment_id}/stream", client, first[-1].id)

        second = asyncio.run(rest())
    assert (epochs(first), epochs(second)) == ([1, 2], [3])
    assert second[-1].data["state"] == "succeeded"


def test_after_a_restored_backup_it_begins_anew(running: Running, lives: Lives):
    experiment = lives.done(epochs=1)
    assert epochs(follow(running, experiment, "999999.0.5")) == [1]


def test_what_cannot_be_followed_is_said_before_anything_is_sent(client: TestClient, lives: Lives):
    experiment = lives.queued()
    assert client.get(f"{HERE}/{'0' * 20}/stream").status_code == 404
    answer = client.get(f"{HERE}/{experiment}/stream", headers={"Last-Event-ID": "yesterday"})
    assert answer.json()["errors"][0]["part"] == "header"
    assert "'yesterday' is no place in a stream" in answer.json()["errors"][0]["detail"]
    assert client.get(f"{HERE}/{experiment}/stream?after=1.2").json()["errors"][0]["pointer"] == "/after"
    both = client.get(f"{HERE}/{experiment}/stream?after=1.2", headers={"Last-Event-ID": "1.0.0"})
    assert [error["pointer"] for error in both.json()["errors"]] == ["/after"]
    with pytest.raises(FollowError):
        Cursor.parse("1.2.-3")
