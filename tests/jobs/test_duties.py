"""One process at a time has a duty; when it is gone another has."""

import threading

from sqlalchemy import update

from ncmix.jobs import duties
from ncmix.jobs.database import Database, now
from ncmix.jobs.service_tables import Duty
from ncmix.jobs.settings import Settings
from tests.jobs.helpers import claim, expire, get, submit
from tests.servers import wait_for
from tests.toys import toy


def take(database: Database, holder: str) -> bool:
    """Take the duty in a transaction of its own."""
    with database.transaction() as session:
        return duties.take(session, "sweeping", holder, 60.0)


def test_the_first_has_it_and_keeps_it_until_it_is_silent(database: Database) -> None:
    assert [take(database, holder) for holder in ("a", "b", "a", "b")] == [True, False, True, False]
    with database.transaction() as session:
        session.execute(update(Duty).values(until=now() - 1.0))
    assert [take(database, holder) for holder in ("b", "a")] == [True, False]


def test_of_many_at_once_one_has_it(database: Database) -> None:
    start, got = threading.Barrier(8), []

    def run(holder: str) -> None:
        start.wait()
        got.append(take(database, holder))

    threads = [threading.Thread(target=run, args=(f"h{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(got) == [False] * 7 + [True]


def test_only_the_leader_reaps(database: Database, settings: Settings) -> None:
    experiment = submit(database, toy())
    assert duties.reap(database, settings, "leader") == []
    claim(database, settings)
    expire(database, experiment.id)
    assert duties.reap(database, settings, "other") == []
    assert get(database, experiment.id).state == "running"
    assert [e.id for e in duties.reap(database, settings, "leader")] == [experiment.id]


def test_a_duty_goes_on_whatever_goes_wrong() -> None:
    done: list[int] = []
    stopping = threading.Event()

    def duty() -> None:
        done.append(len(done))
        if len(done) == 1:
            raise ValueError("The first time is the hardest.")

    duties.every(0.01, duty, stopping)
    wait_for(lambda: len(done) > 2, "The third time")
    stopping.set()
