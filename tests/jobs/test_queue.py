"""Hints: sent when there is a broker, given up in seconds when there is none, and never an error."""

import json
import signal
import time
from pathlib import Path

import pytest
import redis

from ncmix.jobs.queue import Hints, queue_of
from ncmix.jobs.settings import Settings
from tests.servers import Redis, free_port
from tests.toys import toy


def _settings(home: Path, **variables: str) -> Settings:
    return Settings.from_environment({"NCMIX_HOME": str(home), **variables})


@pytest.mark.parametrize(
    ("device", "default", "queue"),
    [("cuda", "cpu", "gpu"), ("cpu", "gpu", "cpu"), ("auto", "gpu", "gpu"), ("auto", "cpu", "cpu")],
)
def test_the_device_decides_the_queue(tmp_path: Path, device: str, default: str, queue: str) -> None:
    assert queue_of(toy(device=device), _settings(tmp_path, NCMIX_DEFAULT_QUEUE=default)) == queue


def test_the_embedded_queue_is_files_under_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = _settings(tmp_path / "home")
    hints = Hints(settings)
    assert hints.wake("cpu")
    hints.close()
    assert len(list(settings.broker_folder.glob("messages/*.cpu.msg"))) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["home"]


def test_a_queue_that_cannot_be_written_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = _settings(tmp_path)
    hints = Hints(settings)
    for folder in settings.broker_folder.iterdir():
        folder.rmdir()
        folder.touch()
    assert hints.wake("cpu") is False
    assert "The hint for queue cpu was not sent" in caplog.text
    hints.close()


@pytest.mark.redis
def test_a_hint_is_json_and_carries_the_name_of_a_queue(tmp_path: Path, redis_url: str) -> None:
    hints = Hints(_settings(tmp_path, NCMIX_BROKER_URL=redis_url))
    assert hints.wake("gpu")
    hints.close()
    with redis.Redis.from_url(redis_url) as client:
        (message,) = client.lrange("gpu", 0, -1)
    assert json.loads(message)["content-type"] == "application/json"
    assert json.loads(message)["headers"]["argsrepr"] == "['gpu']"


@pytest.mark.redis
def test_a_frozen_or_dead_broker_costs_seconds_and_is_used_again_when_it_is_back(
    tmp_path: Path, redis_server: Redis
) -> None:
    with Redis() as own:
        hints = Hints(_settings(tmp_path, NCMIX_BROKER_URL=own.url))
        assert hints.wake("cpu")
        own.send(signal.SIGSTOP)
        assert _answer_within(3.0, hints) is False
        own.stop(signal.SIGKILL)
        assert _answer_within(3.0, hints) is False
        own.start()
        assert hints.wake("cpu") is True
        hints.close()


def test_a_broker_that_never_was_costs_nothing(tmp_path: Path) -> None:
    hints = Hints(_settings(tmp_path, NCMIX_BROKER_URL=f"redis://127.0.0.1:{free_port()}/0"))
    assert _answer_within(3.0, hints) is False
    hints.close()


def _answer_within(seconds: float, hints: Hints) -> bool:
    start = time.monotonic()
    sent = hints.wake("cpu")
    assert time.monotonic() - start < seconds
    return sent
