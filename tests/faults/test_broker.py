"""The broker is lost, frozen, emptied or restarted; whoever has had a 201 has an experiment that runs once."""

import signal
import threading
import time
from typing import Any

import httpx2
import pytest

from tests.faults.stage import Stage
from tests.servers import Redis
from tests.toys import toy

pytestmark = [pytest.mark.redis, pytest.mark.postgres, pytest.mark.timeout(300)]


def body(**changes: Any) -> dict[str, Any]:
    """A toy experiment as it is posted."""
    return toy(**changes).model_dump(mode="json")


def post(url: str, key: str = "", **changes: Any) -> httpx2.Response:
    """The answer to a submission."""
    headers = {"Idempotency-Key": key} if key else {}
    return httpx2.post(f"{url}/api/v1/experiments", json=body(**changes), headers=headers, timeout=30.0)


def test_an_api_killed_between_commit_and_hint(servers: Stage, own_redis: Redis) -> None:
    """The broker is frozen, so that the answer is there and the hint is not; then both are gone."""
    api, _ = servers.api()
    own_redis.send(signal.SIGSTOP)
    try:
        posted = post(api.url)
        api.kill()
    finally:
        own_redis.send(signal.SIGCONT)
    assert posted.status_code == 201
    own_redis.flush()
    servers.toys()
    ended = servers.end(posted.json()["id"])
    assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 1, 1)


def test_a_frozen_broker_holds_up_no_answer(servers: Stage, own_redis: Redis) -> None:
    api, _ = servers.api()
    own_redis.send(signal.SIGSTOP)
    try:
        start = time.monotonic()
        answers = [post(api.url, seed=seed) for seed in range(3)]
        taken = time.monotonic() - start
    finally:
        own_redis.send(signal.SIGCONT)
    assert [a.status_code for a in answers] == [201] * 3
    # Each of them within the promise, together.
    assert taken < 3.0


def test_fifty_posts_at_once_under_one_key(stage: Stage) -> None:
    api, client = stage.api()
    start, answers = threading.Barrier(50), []

    def send() -> None:
        start.wait()
        answers.append(post(api.url, "the-key"))

    threads = [threading.Thread(target=send) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert {a.status_code for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    assert len(list(client.experiments())) == 1


def test_the_broker_is_down_at_submission(servers: Stage, own_redis: Redis) -> None:
    _, client = servers.api()
    own_redis.stop()
    try:
        posted = client.submit(body())
        worker = servers.toys()
        # The worker cannot hear anything, and finds it nevertheless.
        ended = servers.end(posted.id)
    finally:
        own_redis.start()
    assert ended.state == "succeeded"
    # And it hears again: an experiment whose poll is far away is run for its hint.
    second = client.submit(body(seed=1))
    assert servers.end(second.id).state == "succeeded"
    assert worker.stop() == 0


def test_everything_in_the_broker_is_lost(servers: Stage, own_redis: Redis) -> None:
    """Fifty queued, and not one hint left."""
    queued = [servers.queue(seed=seed) for seed in range(50)]
    servers.hint(50)
    own_redis.flush()
    servers.toys(NCMIX_TEST_CHILD="instant")
    for experiment in queued:
        ended = servers.end(experiment)
        assert (ended.state, ended.attempt) == ("succeeded", 1)


def test_the_broker_is_restarted_in_the_middle_of_a_training(servers: Stage, own_redis: Redis) -> None:
    experiment = servers.queue("epoch=0.05", epochs=100)
    worker = servers.toys()
    servers.epoch(experiment, 3)
    own_redis.stop(signal.SIGKILL)
    before = servers.row(experiment).epoch
    servers.epoch(experiment, before + 5)
    own_redis.start()
    ended = servers.end(experiment)
    assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 1, 1)
    second = servers.queue(seed=1)
    servers.hint()
    assert servers.end(second).state == "succeeded"
    assert worker.stop() == 0


def test_the_same_hint_ten_times(stage: Stage) -> None:
    experiment = stage.queue("epoch=0.02", epochs=20)
    stage.hint(10)
    workers = [stage.toys(), stage.toys()]
    ended = stage.end(experiment)
    assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 1, 1)
    assert stage.kinds(experiment)["claimed"] == 1
    assert [worker.stop() for worker in workers] == [0, 0]
