"""Hints as files: whole or not there, whatever is written and read at the same moment."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection
from kombu.simple import SimpleQueue

from ncmix.jobs.queue import Hints, celery_app
from ncmix.jobs.settings import Settings
from tests.servers import wait_for

WRITERS, EACH = 4, 100


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.from_environment({"NCMIX_HOME": str(tmp_path)})


@contextmanager
def reading(settings: Settings) -> Iterator[SimpleQueue]:
    """The queue `cpu` as a worker has it."""
    app = celery_app(settings)
    connection: Connection
    with app.connection_for_read() as connection, connection.SimpleQueue(app.amqp.queues["cpu"]) as queue:
        yield queue
    app.close()


def wake_often(settings: Settings) -> None:
    """What each of several processes does that has just begun: make its queue known, then write."""
    for _ in range(EACH):
        hints = Hints(settings)
        assert hints.wake("cpu")
        hints.close()


def test_nobody_reads_half_a_message_and_nobody_reads_one_twice(settings: Settings) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=wake_often, args=[settings]) for _ in range(WRITERS)]
    found: set[str] = set()
    with reading(settings) as queue:
        for writer in writers:
            writer.start()

        def all_came() -> bool:
            while True:
                try:
                    message = queue.get_nowait()
                except Empty:
                    return len(found) == WRITERS * EACH
                assert message.payload[0] == ["cpu"]
                assert message.headers["id"] not in found
                found.add(message.headers["id"])
                message.ack()

        wait_for(all_came, "Every message", 60.0)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert not list((settings.broker_folder / "messages").iterdir())


def test_what_is_no_message_is_removed_and_said(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    hints = Hints(settings)
    with reading(settings) as queue:
        (settings.broker_folder / "messages" / f"{0:020}_broken.cpu.msg").touch()
        assert hints.wake("cpu")
        assert queue.get_nowait().payload[0] == ["cpu"]
    assert "_broken.cpu.msg was no message and is removed" in caplog.text
    hints.close()
