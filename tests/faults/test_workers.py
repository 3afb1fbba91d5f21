"""Workers and their children are killed, frozen, stopped and misled; the record stays true."""

import os
import signal
from pathlib import Path

import pytest
from sqlalchemy import select

from ncmix.jobs import lifecycle, queries
from ncmix.jobs.tables import FeatureSet
from ncmix.train import run
from tests.faults.stage import PATIENCE, Stage
from tests.jobs.helpers import submit
from tests.servers import wait_for
from tests.toys import toy

pytestmark = pytest.mark.timeout(300)
LONG = {"epochs": 60, "measure": {"epochs": {"every": 10}, "geometry": None}}


def undisturbed(stage: Stage, **changes: object) -> set[tuple[int, str, str, float | None]]:
    """The metrics of a run in this process, to which nothing happens."""
    snapshots = [item for item in run(toy(**changes), "cpu", stage.settings.data) if hasattr(item, "metrics")]
    return {(s.epoch, m.split, m.name, m.value) for s in snapshots for m in s.metrics}


def recorded(stage: Stage, experiment: str) -> set[tuple[int, str, str, float | None]]:
    """The metrics on record."""
    return {(r.epoch, r.split, r.name, r.value) for r in stage.metrics(experiment)}


def test_a_worker_killed_in_the_middle_goes_on_from_its_checkpoint_bit_for_bit(stage: Stage) -> None:
    changes = {"epochs": 400, "measure": {"epochs": [0, 100, 400], "geometry": None}}
    experiment = submit(stage.database, toy(**changes)).id
    first = stage.worker()
    stage.epoch(experiment, 20)
    wait_for(lambda: list((stage.settings.checkpoint_dir / experiment).glob("*.pt")), "A checkpoint", PATIENCE)
    first.kill()
    wait_for(lambda: not first.children(), "The end of the child", PATIENCE)
    stage.worker()
    ended = stage.end(experiment)
    assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 2, 2)
    assert stage.kinds(experiment)["resumed"] == 1
    assert recorded(stage, experiment) == undisturbed(stage, **changes)


def test_stopped_by_docker_and_paused_by_a_user_it_goes_on_where_it_was_uncharged(stage: Stage) -> None:
    changes = {"epochs": 600, "measure": {"epochs": [600], "geometry": None}}
    experiment = submit(stage.database, toy(**changes)).id
    first = stage.worker()
    stage.epoch(experiment, 5)
    assert first.stop() == 0
    row = stage.row(experiment)
    assert (row.state, row.attempt, row.lease_until) == ("queued", 0, None)
    second = stage.worker()
    stage.epoch(experiment, row.epoch + 5)
    assert stage.ask(lifecycle.pause, experiment) == "pausing"
    stage.until(experiment, lambda e: e.state == "paused", "The pause")
    assert not second.children()
    assert stage.ask(lifecycle.resume, experiment) == "queued"
    ended = stage.end(experiment)
    assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 1, 3)
    assert stage.kinds(experiment)["resumed"] == 3  # twice by a child, once by the user
    assert recorded(stage, experiment) == undisturbed(stage, **changes)


def test_a_broken_newest_checkpoint_gives_way_to_the_one_before(embedded: Stage) -> None:
    experiment = submit(embedded.database, toy(epochs=600, measure={"epochs": [600], "geometry": None})).id
    folder = embedded.settings.checkpoint_dir / experiment
    first = embedded.worker()
    wait_for(lambda: len(list(folder.glob("*.pt"))) > 1, "Two checkpoints", PATIENCE)
    first.kill()
    wait_for(lambda: not first.children(), "The end of the child", PATIENCE)
    # As a write that was cut short leaves it, and a part of one that never became a checkpoint.
    whole = sorted(folder.glob("*.pt"))
    whole[-1].write_bytes(whole[-1].read_bytes()[:100])
    embedded.worker()
    ended = embedded.end(experiment)
    assert (ended.state, ended.epoch) == ("succeeded", 600)
    with embedded.database.reading() as session:
        (resumed,) = [e.data for e in queries.events(session, experiment) if e.kind in ("resumed", "started")][1:]
    assert 0 < resumed["epoch"] < 600
    assert recorded(embedded, experiment) == undisturbed(
        embedded, epochs=600, measure={"epochs": [600], "geometry": None}
    )


def test_a_child_that_is_killed_uses_up_its_attempts_and_the_queue_moves_on(stage: Stage) -> None:
    doomed = stage.queue("die=2", priority=1)
    other = stage.queue(seed=1)
    stage.toys()
    ended = stage.end(doomed)
    assert (ended.state, ended.reason_code, ended.attempt) == ("failed", "killed", 3)
    assert "(attempt 3 of 3)" in (ended.reason_message or "")
    assert stage.kinds(doomed)["claimed"] == 3
    assert stage.end(other).state == "succeeded"


def test_a_worker_frozen_past_its_lease_is_a_zombie_that_writes_nothing_and_dies(stage: Stage) -> None:
    experiment = stage.queue("epoch=0.1", epochs=200)
    zombie = stage.toys()
    stage.epoch(experiment, 2)
    (child,) = zombie.children("toy_child")
    zombie.send(signal.SIGSTOP)
    os.kill(child, signal.SIGSTOP)
    heir = stage.toys()
    stage.until(experiment, lambda e: e.fence == 2, "The second claim")
    stage.epoch(experiment, 3)
    # The child first: its worker kills it as soon as it can.
    os.kill(child, signal.SIGCONT)
    zombie.send(signal.SIGCONT)
    wait_for(lambda: not Path(f"/proc/{child}").exists(), "The end of the zombie's child", PATIENCE)
    assert stage.cancel(experiment) == "cancelling"
    assert stage.end(experiment).fence == 2
    with stage.database.reading() as session:
        fences = [e.fence for e in queries.events(session, experiment)]
    assert fences == sorted(fences)
    assert heir.stop() == 0


def test_cancelling_a_running_one_twice_ends_it_once_even_a_deaf_one(stage: Stage) -> None:
    waiting = stage.queue(seed=1)
    assert [stage.cancel(waiting) for _ in range(2)] == ["cancelled"] * 2
    experiment = stage.queue("epoch=0.05 deaf", epochs=10_000)
    worker = stage.toys(NCMIX_GRACE_SECONDS="0.5")
    stage.epoch(experiment, 2)
    assert [stage.cancel(experiment) for _ in range(2)] == ["cancelling"] * 2
    ended = stage.end(experiment)
    assert not worker.children("toy_child")
    assert (ended.state, ended.reason_code) == ("cancelled", "cancelled_by_user")
    assert stage.kinds(experiment)["cancelled"] == 1


def test_cancelling_races_with_success(stage: Stage) -> None:
    """Whoever comes first: one end, with its reason, and the answer told which it would be."""
    stage.toys()
    ends = []
    for seed in range(6):
        experiment = stage.queue("epoch=0", epochs=3, seed=seed)
        stage.epoch(experiment, 3 - seed % 2)
        try:
            asked = stage.cancel(experiment)
        except lifecycle.NotAllowedError:
            asked = "succeeded"
        ended = stage.end(experiment)
        assert ended.state == {"cancelling": "cancelled"}.get(asked, asked)
        assert ended.reason_code == {"cancelled": "cancelled_by_user", "succeeded": "finished"}[ended.state]
        ends.append(ended.state)
    assert len(ends) == 6


def test_a_training_that_hangs_is_stopped_and_says_so(stage: Stage) -> None:
    experiment = stage.queue("hang=2")
    stage.toys(NCMIX_STALL_SECONDS="2")
    ended = stage.end(experiment)
    assert (ended.state, ended.reason_code) == ("failed", "stalled")


def test_killed_between_feature_chunks_no_part_of_a_set_is_seen_or_left(stage: Stage) -> None:
    experiment = stage.queue("stage=2")
    worker = stage.toys()
    stage.epoch(experiment, 1)
    wait_for(lambda: _sets(stage, experiment) == {"writing"}, "A set under way", PATIENCE)
    with stage.database.reading() as session:
        assert queries.feature_sets(session, experiment) == []
    worker.kill()
    stage.toys()
    ended = stage.end(experiment)
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    assert _sets(stage, experiment) == set()


def _sets(stage: Stage, experiment: str) -> set[str]:
    with stage.database.reading() as session:
        return set(session.scalars(select(FeatureSet.state).where(FeatureSet.experiment_id == experiment)))


def test_a_worker_whose_clock_is_an_hour_off_loses_no_lease(stage: Stage, tmp_path: Path) -> None:
    """Leases are compared by the database's clock alone."""
    (tmp_path / "sitecustomize.py").write_text("import time\n_true = time.time\ntime.time = lambda: _true() + 3600\n")
    experiment = stage.queue("epoch=0.2", epochs=40)
    ahead = stage.toys(PYTHONPATH=str(tmp_path))
    straight = stage.toys()
    ended = stage.end(experiment)
    assert (ended.state, ended.attempt, ended.fence) == ("succeeded", 1, 1)
    assert [worker.stop() for worker in (ahead, straight)] == [0, 0]


def test_a_child_that_cannot_even_be_loaded_is_bounded_and_leaves_its_log(embedded: Stage, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("import os\nprint('This library is broken.', flush=True)\nos.abort()\n")
    experiment = submit(embedded.database, toy()).id
    embedded.worker(PYTHONPATH=str(tmp_path))
    ended = embedded.end(experiment)
    assert (ended.state, ended.attempt, ended.reason_code) == ("failed", 3, "killed")
    with embedded.database.reading() as session:
        log = queries.log(session, experiment).data.decode()
    assert log.count("This library is broken.") == 3


def test_a_loss_that_is_no_number_fails_with_its_reason_and_stays_json(embedded: Stage) -> None:
    _, client = embedded.api()
    posted = client.submit(toy(optimizer={"kind": "sgd", "lr": 1e30}, epochs=50))
    embedded.worker()
    embedded.end(posted.id)
    shown = client.experiment(posted.id)
    assert (shown.state, shown.answer["reason"]["code"]) == ("failed", "diverged")
    assert shown.metric_rows() is not None
