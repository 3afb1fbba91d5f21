"""`ncmix train` killed at any moment, gone on with, and killed again: its folder ends as if nothing had happened."""

import json
import os
import signal
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncmix.rundir import read
from tests.ncmix.commands import Commands, commands
from tests.servers import wait_for

SPEC: dict[str, Any] = {
    "dataset": {"kind": "digits", "per_class": 20, "augment": "crop_flip"},
    "model": {"kind": "convnet", "width": 0.125},
    "epochs": 8,
    "batch_size": 16,
    "measure": {"epochs": {"every": 2}, "geometry": {"per_pair": 4, "lambdas": 3}},
    "device": "cpu",
}
PATIENCE = 90.0


@pytest.fixture(scope="module")
def ncmix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    with commands(str(tmp_path_factory.mktemp("commands") / "log")) as started:
        yield started


def written(tmp_path: Path, **fields: Any) -> Path:
    """The file of a spec."""
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(SPEC | fields))
    return path


def epoch(folder: Path) -> int:
    """The last epoch in `metrics.csv`."""
    lines = (folder / "metrics.csv").read_text().splitlines() if (folder / "metrics.csv").exists() else []
    return int(lines[-1].split(",")[0] or 0) if len(lines) > 1 else -1


def interrupt(process: BaseProcess, folder: Path, after: int, number: signal.Signals) -> None:
    """Send a signal once an epoch is on the disk, and wait for the end."""
    wait_for(lambda: epoch(folder) >= after or process.exitcode is not None, f"Epoch {after}", PATIENCE)
    assert process.exitcode is None
    os.kill(process.pid or 0, number)
    process.join(PATIENCE)
    assert process.exitcode in (-signal.SIGKILL, 128 + number)


def contents(folder: Path) -> dict[str, bytes]:
    """What a run leaves, but for the checkpoint and what names the moment it began."""
    paths = [folder / "metrics.csv", folder / "metrics.parquet", *(folder / "arrays").iterdir()]
    return {path.name: path.read_bytes() for path in paths if path.suffix != ".npz"}


# One of each optimizer with each mix; and the moments of the kills, early, late and right after each other.
@pytest.mark.long
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("mix", "moments"), [("none", (0, 4)), ("mixup", (2, 3)), ("cutmix", (1, 6)), ("manifold_mixup", (3, 5))]
)
def test_killed_twice_it_is_the_run_that_was_never_killed(
    ncmix: Commands, tmp_path: Path, optimizer: str, mix: str, moments: tuple[int, int]
) -> None:
    spec = written(tmp_path, optimizer=optimizer, mix=mix)
    whole, folder = tmp_path / "whole", tmp_path / "killed"
    ncmix.run("train", "--spec", spec, "--out", whole)
    interrupt(ncmix.start("train", "--spec", spec, "--out", folder), folder, moments[0], signal.SIGKILL)
    interrupt(ncmix.start("train", "--resume", folder), folder, moments[1], signal.SIGKILL)
    ncmix.run("train", "--resume", folder)
    assert contents(folder) == contents(whole)
    for path in whole.glob("arrays/*.npz"):
        with np.load(path) as one, np.load(folder / "arrays" / path.name) as other:
            assert all(one[name].tobytes() == other[name].tobytes() for name in one.files)
    assert read(folder).rows == read(whole).rows
    assert read(folder).probes.keys() == read(whole).probes.keys() == {0, 2, 4, 6, 8}
    (last,) = (folder / "checkpoints").iterdir()
    assert last.name.startswith("epoch-000008-step-000000-")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_loses_nothing_not_even_an_epoch_begun(
    ncmix: Commands, tmp_path: Path, number: signal.Signals
) -> None:
    spec = written(tmp_path, mix="mixup", epochs=3, dataset={"kind": "digits"}, model={"kind": "convnet", "width": 0.5})
    whole, folder = tmp_path / "whole", tmp_path / "stopped"
    ncmix.run("train", "--spec", spec, "--out", whole)
    interrupt(ncmix.start("train", "--spec", spec, "--out", folder), folder, 1, number)
    newest = max((folder / "checkpoints").iterdir())
    before = torch.load(newest, weights_only=True)
    assert (before["epoch"], before["step"]) >= (1, 0)
    assert read(folder).rows[-1].epoch == before["epoch"]
    ncmix.run("train", "--resume", folder)
    assert contents(folder) == contents(whole)


def test_damage_is_survived_and_what_has_ended_is_extended(ncmix: Commands, tmp_path: Path) -> None:
    spec = written(tmp_path, mix="mixup", epochs=8)
    whole, folder = tmp_path / "whole", tmp_path / "damaged"
    ncmix.run("train", "--spec", spec, "--out", whole)
    interrupt(ncmix.start("train", "--spec", spec, "--out", folder), folder, 5, signal.SIGTERM)
    newest = max((folder / "checkpoints").iterdir())
    newest.write_bytes(newest.read_bytes()[:-100])
    ncmix.run("train", "--resume", folder)
    assert contents(folder) == contents(whole)
    ncmix.run("extend", folder, "--epochs", 10, "--out", tmp_path / "more")
    rows = read(tmp_path / "more").rows
    assert [r for r in rows if r.epoch <= 8] == list(read(whole).rows)
    assert sorted({r.epoch for r in rows}) == list(range(11))
    assert read(tmp_path / "more").spec["extends"]["epochs"] == 8
