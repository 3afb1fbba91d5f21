"""Checkpoints: whole or refused, and a run that goes on from one is the run that never stopped, bit for bit."""

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from ncmix import durable, train
from ncmix.checkpoint import (
    COST_SHARE,
    FORMAT,
    LONGEST_SECONDS,
    Checkpoint,
    CheckpointError,
    Checkpoints,
    Rhythm,
    Saved,
    load,
    newest,
)
from ncmix.datahome import DataHome
from ncmix.results import Snapshot, Tick
from ncmix.spec import VOCABULARY, Spec, SpecError, extended
from ncmix.train import run
from tests.toys import toy

HOME = DataHome(Path("unused"))
# Dropped batches, batch normalisation, crops and flips: everything that draws or remembers.
PICTURES: dict[str, Any] = {
    "dataset": {"kind": "digits", "per_class": 8, "augment": "crop_flip"},
    "model": {"kind": "convnet", "width": 0.125},
    "measure": {"epochs": [0, 2, 3], "geometry": {"per_pair": 4, "lambdas": 3, "mode": "train"}},
}
ADAM = {"kind": "adam", "weight_decay": 1e-3}
SGD = {"kind": "sgd", "lr": 0.05, "nesterov": True}

Row = tuple[int, str, str]


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tick after every batch; and no waiting for a disk that others keep busy."""
    monkeypatch.setattr(train, "TICK_SECONDS", 1e-9)
    monkeypatch.setattr(os, "fsync", lambda _: None)


def rows(items: list[Tick | Snapshot]) -> dict[Row, float | None]:
    """Every number that was yielded."""
    return {(s.epoch, m.split, m.name): m.value for s in items if isinstance(s, Snapshot) for m in s.metrics}


def sets(items: list[Tick | Snapshot]) -> dict[tuple[int, str], dict[str, Any]]:
    """Every array that was yielded."""
    return {(s.epoch, kept.name): dict(kept.arrays) for s in items if isinstance(s, Snapshot) for kept in s.sets}


def taken_after(spec: Spec, count: int, files: Checkpoints) -> tuple[list[Tick | Snapshot], Saved]:
    """The first `count` items of a run, and the checkpoint behind them."""
    training = run(spec, "cpu", HOME)
    items = [next(training) for _ in range(count)]
    return items, files.write(training.checkpoint())


def finished(spec: Spec) -> Checkpoint:
    """The checkpoint at the end of a run."""
    training = run(spec, "cpu", HOME)
    list(training)
    return training.checkpoint()


def one(tmp_path: Path) -> Saved:
    """A checkpoint of the toy, after its first epoch."""
    training = run(toy(), "cpu", HOME)
    next(item for item in training if isinstance(item, Snapshot) and item.epoch == 1)
    return Checkpoints(tmp_path).write(training.checkpoint())


@pytest.mark.parametrize("mix", VOCABULARY["mix"])
@pytest.mark.parametrize("optimizer", [SGD, ADAM], ids=["sgd", "adam"])
def test_from_behind_any_item_the_rest_is_the_same_bit_for_bit(tmp_path: Path, optimizer: dict, mix: str) -> None:
    spec = toy(**PICTURES, optimizer=optimizer, mix=mix, schedule={"kind": "cosine", "warmup_epochs": 1})
    whole = list(run(spec, "cpu", HOME))
    for count in (1, len(whole) // 3, len(whole) // 2, len(whole) - 1):
        before, saved = taken_after(spec, count, Checkpoints(tmp_path / str(count)))
        assert rows(before) == rows(whole[:count])
        after = list(run(spec, "cpu", HOME, load(saved)))
        # Epochs measured in part are measured again; what was not begun begins anew.
        expected = whole[count:] if load(saved).begun else whole
        assert rows(after) == rows(expected)
        assert all(sets(after)[at].keys() == arrays.keys() for at, arrays in sets(expected).items())
        assert all(
            sets(after)[at][n].tobytes() == a.tobytes()
            for at, arrays in sets(expected).items()
            for n, a in arrays.items()
        )


def test_a_checkpoint_leaves_the_training_as_it_was(tmp_path: Path) -> None:
    spec, files = toy(mix="mixup"), Checkpoints(tmp_path)
    training = run(spec, "cpu", HOME)
    watched = []
    for item in training:
        files.write(training.checkpoint())
        watched.append(item)
    assert rows(watched) == rows(list(run(spec, "cpu", HOME)))


def test_the_seconds_of_an_interrupted_epoch_are_those_of_both_parts(tmp_path: Path) -> None:
    spec = toy(measure={"epochs": "last", "geometry": None})
    _, saved = taken_after(spec, 4, Checkpoints(tmp_path))
    checkpoint = load(saved)
    checkpoint.state["amid"]["seconds"] = 1000.0
    first = next(item for item in run(spec, "cpu", HOME, checkpoint) if isinstance(item, Snapshot))
    assert 1000 < first.seconds < 1100


def test_the_file_is_torchs_own_and_says_what_it_is(tmp_path: Path) -> None:
    saved = one(tmp_path)
    assert saved == Saved.at(saved.path)
    assert (saved.epoch, saved.step) == (1, 0)
    content = torch.load(saved.path, weights_only=True)
    assert (content["format"], content["key"], content["epoch"]) == (FORMAT, toy().key, 1)
    assert content["spec"] == toy().model_dump(mode="json")
    assert all(isinstance(t, torch.Tensor) for t in content["state"]["model"].values())


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :],
        lambda data: data + b"\0",
    ],
    ids=["cut short", "empty", "a bit flipped", "longer"],
)
def test_the_one_before_is_taken_when_the_newest_is_damaged(tmp_path: Path, damage: Any) -> None:
    files = Checkpoints(tmp_path)
    training = run(toy(), "cpu", HOME)
    for item in training:
        if isinstance(item, Snapshot):
            files.write(training.checkpoint())
    files.keep_newest()
    last, before = files.saved()
    assert (last.epoch, before.epoch) == (3, 2)
    last.path.write_bytes(damage(last.path.read_bytes()))
    found, wrong = newest(files.saved(), toy(), "cpu")
    assert found is not None
    assert found.epoch == 2
    (sentence,) = wrong
    assert "is damaged" in sentence
    before.path.unlink()
    assert newest([last, before], toy(), "cpu")[0] is None


def test_of_another_run_device_or_version_it_is_refused(tmp_path: Path) -> None:
    saved = one(tmp_path)
    other = toy(seed=1)
    with pytest.raises(CheckpointError, match=rf"of the run {toy().key[:12]}….*asked for is {other.key[:12]}"):
        run(other, "cpu", HOME, load(saved))
    with pytest.raises(CheckpointError, match="made on cpu; it cannot be continued on cuda"):
        load(saved).check(toy(), "cuda")
    load(saved).check(toy(name="what is beside the science"), "cpu")
    content = torch.load(saved.path, weights_only=True)
    torch.save(content | {"format": 7}, saved.path)
    refused = _named_after_its_bytes(saved)
    with pytest.raises(CheckpointError, match=f"has format 7; this version of ncmix reads {FORMAT}"):
        load(refused)


def test_nothing_in_a_file_is_executed(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "touched"),)

    saved = one(tmp_path)
    torch.save({"format": FORMAT, "state": Evil()}, saved.path)
    with pytest.raises(CheckpointError, match="is not a checkpoint"):
        load(_named_after_its_bytes(saved))
    assert not (tmp_path / "touched").exists()


def _named_after_its_bytes(saved: Saved) -> Saved:
    import hashlib  # noqa: PLC0415

    data = saved.path.read_bytes()
    return Saved(saved.path, saved.epoch, saved.step, hashlib.sha256(data).hexdigest(), len(data))


def test_it_is_on_the_disk_before_it_has_its_name_and_its_name_before_anybody_hears_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, calls = tmp_path / "file", list[tuple[str, str, bool]]()

    def fsync(descriptor: int) -> None:
        calls.append(("fsync", Path(f"/proc/self/fd/{descriptor}").readlink().name, path.exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    durable.write(path, b"content")
    assert calls == [("fsync", f".file.{os.getpid()}.part", False), ("fsync", tmp_path.name, True)]
    assert path.read_bytes() == b"content"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_what_cannot_be_written_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    saved = one(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(OSError, match="No space left on device"):
        Checkpoints(tmp_path).write(finished(toy()))
    assert list(tmp_path.iterdir()) == [saved.path]


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    saved = one(tmp_path)
    (tmp_path / f".{saved.path.name}.123.part").write_bytes(b"x" * 1000)
    (tmp_path / "notes.txt").write_text("mine")
    assert Checkpoints(tmp_path).saved() == [saved]
    Checkpoints(tmp_path).keep_newest()
    assert sorted(tmp_path.iterdir()) == sorted([saved.path, tmp_path / "notes.txt"])
    Checkpoints(tmp_path / "nowhere").keep_newest()


def test_before_its_first_item_a_run_has_no_state() -> None:
    with pytest.raises(RuntimeError, match="first item"):
        run(toy(), "cpu", HOME).checkpoint()


class TestRhythm:
    """As often as it costs little, and now and then whatever it costs."""

    @pytest.fixture
    def clock(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        now = [0.0]
        monkeypatch.setattr("ncmix.checkpoint.time.monotonic", lambda: now[0])
        return now

    def _take(self, rhythm: Rhythm, clock: list[float], seconds: float) -> None:
        with rhythm.taking():
            clock[0] += seconds

    def test_its_share_of_the_time_stays_small(self, clock: list[float]) -> None:
        rhythm, spent = Rhythm(), 0.0
        for _ in range(1000):
            clock[0] += 1.0  # an epoch
            if rhythm.due(epoch_ends=True):
                self._take(rhythm, clock, 0.3)
                spent += 0.3
        assert 0.5 * COST_SHARE < spent / clock[0] <= COST_SHARE

    def test_cheap_ones_are_taken_at_every_epoch(self, clock: list[float]) -> None:
        rhythm = Rhythm()
        for _ in range(5):
            clock[0] += 1.0
            assert not rhythm.due(epoch_ends=False)
            assert rhythm.due(epoch_ends=True)
            self._take(rhythm, clock, 0.01)

    def test_a_long_time_without_one_ends_in_the_middle_of_an_epoch(self, clock: list[float]) -> None:
        rhythm = Rhythm()
        self._take(rhythm, clock, 100.0)
        clock[0] += LONGEST_SECONDS - 1
        assert not rhythm.due(epoch_ends=True)
        clock[0] += 1
        assert rhythm.due(epoch_ends=False)


class TestExtending:
    """A longer run from where a shorter one ended: the same numbers as if it had been longer from the start."""

    @pytest.mark.parametrize(
        "schedule", ["constant", {"kind": "multistep", "milestones": [0.4, 0.7, 2], "gamma": 0.5}], ids=str
    )
    def test_it_goes_on_at_the_rate_it_had(self, schedule: Any) -> None:
        short = toy(schedule=schedule, mix="mixup", measure={"epochs": [1, 3], "geometry": None})
        long = extended(short, 5)
        assert long.key != short.key
        assert long.extends is not None
        assert (long.extends.key, long.extends.epochs) == (short.key, 3)
        assert long.measured_epochs == (1, 3, 5)
        found = rows(list(run(long, "cpu", HOME, finished(short))))
        assert {epoch for epoch, *_ in found} == {4, 5}
        plain = long.model_copy(update={"extends": None})
        whole = rows(list(run(plain, "cpu", HOME)))
        assert found == {row: value for row, value in whole.items() if row[0] > 3}

    def test_an_assigned_schedule_decides_from_there_on(self) -> None:
        short = toy(schedule="cosine")
        with pytest.raises(SpecError, match="cosine has come to its end after 3 epochs; assign how it goes on"):
            extended(short, 6)
        lr = {
            kind: rows(list(run(extended(short, 6, [f"schedule={kind}"]), "cpu", HOME, finished(short))))
            for kind in ("cosine", "constant")
        }
        assert lr["constant"][4, "running", "lr"] == 0.05
        # The last of the four epochs' 32 batches: 31/48 of the way down.
        assert lr["cosine"][4, "running", "lr"] == pytest.approx(
            0.05 * (1 + torch.cos(torch.tensor(torch.pi * 31 / 48)).item()) / 2
        )

    def test_an_extension_can_be_interrupted_and_extended(self, tmp_path: Path) -> None:
        long = extended(toy(), 5)
        training = run(long, "cpu", HOME, finished(toy()))
        head = [next(training) for _ in range(3)]
        saved = Checkpoints(tmp_path).write(training.checkpoint())
        whole = rows(list(run(long, "cpu", HOME, finished(toy()))))
        again = run(long, "cpu", HOME, load(saved))
        assert rows(head) | rows(list(again)) == whole
        longer = extended(long, 6)
        assert set(rows(list(run(longer, "cpu", HOME, again.checkpoint())))) > {(6, "running", "loss")}

    @pytest.mark.parametrize(
        ("epochs", "assignments", "sentence"),
        [
            (3, (), "epochs: 3 does not go past the run it extends; allowed is more than 3"),
            (5, ("optimizer.lr=0.1",), "keeps the optimizer of the run"),
            (5, ("seed=1",), "keeps the seed of the run"),
        ],
    )
    def test_what_is_no_extension_is_a_sentence(self, epochs: int, assignments: tuple, sentence: str) -> None:
        with pytest.raises(SpecError, match=sentence):
            extended(toy(), epochs, assignments)

    def test_it_needs_the_end_of_its_parent(self) -> None:
        long = extended(toy(), 5)
        with pytest.raises(CheckpointError, match=f"goes on where run {toy().key[:12]}… ended: name its checkpoint"):
            run(long, "cpu", HOME)
        training = run(toy(), "cpu", HOME)
        list(zip(training, range(4), strict=False))
        with pytest.raises(CheckpointError, match=r"of epoch \d, step \d; the run .* is extended from its end"):
            run(long, "cpu", HOME, training.checkpoint())
        with pytest.raises(CheckpointError, match=r"asked for is .* or its parent"):
            run(long, "cpu", HOME, finished(toy(seed=3)))
        forged = long.model_copy(update={"batch_size": 8})
        with pytest.raises(CheckpointError, match="had another batch_size; what an extension may change is"):
            run(forged, "cpu", HOME, finished(toy()))

    def test_a_run_that_extends_none_has_the_key_it_always_had(self) -> None:
        assert toy().key == "6eb72a4f6271f25049a30532270fdbc012a6e944ec445dc6951a08d640f20c69"


@pytest.mark.parametrize("content", [b"", b"\x80", b"PK\x03\x04", b"\x80\x02]q\x01.", b"N."])
def test_a_file_that_fits_its_name_and_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        load(Saved(path, 1, 0, hashlib.sha256(content).hexdigest(), len(content)))
