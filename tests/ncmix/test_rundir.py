"""A run on disk: what `ncmix train` writes, what `ncmix plot` reads, and what neither will touch."""

import csv
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from ncmix.results import ArraySet, Metric, Probe, Snapshot
from ncmix.rundir import COLUMNS, RunDirError, RunWriter, read

MANIFEST: dict[str, Any] = {"title": "a run", "spec": {"epochs": 2}, "seed": 0}


def probe() -> Probe:
    rng = np.random.default_rng(0)
    kinds = np.array([0, 0, 1, 2])
    return Probe(
        points=rng.normal(size=(4, 2)).astype(np.float32),
        lam=rng.random(4, dtype=np.float32),
        first=kinds,
        second=kinds[::-1].copy(),
        classifier=np.eye(3, 2, dtype=np.float32),
        classes=(0, 1, 2),
        class_names=("zero", "one", "two"),
        mode="eval",
    )


def written(folder: Path) -> Path:
    writer = RunWriter.create(folder, MANIFEST)
    writer.add(Snapshot(1, (Metric("running", "loss", 0.5),)))
    features = ArraySet("train", {"H": np.ones((3, 2), np.float16), "y": np.arange(3)})
    metrics = (Metric("train", "nc1", 0.1 + 0.2), Metric("test", "nc1", float("nan")))
    writer.add(Snapshot(2, metrics, (features, probe().to_set())))
    writer.finish()
    return folder


def test_every_form_holds_the_same_rows(tmp_path: Path) -> None:
    folder = written(tmp_path / "run")
    with (folder / "metrics.csv").open(newline="") as file:
        header, *cells = csv.reader(file)
    assert tuple(header) == COLUMNS
    rows = [(int(e), s, n, float(v) if v else None) for e, s, n, v in cells]
    table = pq.read_table(folder / "metrics.parquet").to_pylist()
    assert [tuple(row[c] for c in COLUMNS) for row in table] == rows
    assert [(r.epoch, r.split, r.name, r.value) for r in read(folder).rows] == rows
    assert rows[1:] == [(2, "train", "nc1", 0.1 + 0.2), (2, "test", "nc1", None)]


def test_arrays_and_manifest_are_plain_files(tmp_path: Path) -> None:
    folder = written(tmp_path / "run")
    with np.load(folder / "arrays" / "epoch-00002-train.npz", allow_pickle=False) as stored:
        assert stored["H"].shape == (3, 2)
        assert stored["H"].dtype == np.float16
    assert json.loads((folder / "manifest.json").read_text()) == MANIFEST


def test_the_pickle_alone_is_the_run(tmp_path: Path) -> None:
    folder = written(tmp_path / "run")
    moved = (folder / "run.pkl").rename(tmp_path / "elsewhere.pkl")
    run = read(moved)
    assert run.title == "a run"
    assert run.probes[2].class_names == ("zero", "one", "two")
    np.testing.assert_array_equal(run.probes[2].points, probe().points)
    epochs, values = run.curve("nc1", "train")
    assert (epochs.tolist(), values.tolist()) == ([2], [0.1 + 0.2])


def test_rows_are_on_disk_before_the_next_epoch(tmp_path: Path) -> None:
    writer = RunWriter.create(tmp_path / "run", MANIFEST)
    writer.add(Snapshot(1, (Metric("running", "loss", 0.5),)))
    assert (tmp_path / "run" / "metrics.csv").read_text().splitlines()[-1] == "1,running,loss,0.5"


def test_a_run_is_never_written_over_another(tmp_path: Path) -> None:
    folder = written(tmp_path / "run")
    before = (folder / "run.pkl").read_bytes()
    with pytest.raises(RunDirError, match="not empty"):
        RunWriter.create(folder, MANIFEST)
    assert (folder / "run.pkl").read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", pickle.dumps([1, 2]), pickle.dumps({"format": "ncmix run 1"}), pickle.dumps(Path())]
)
def test_what_is_no_run_is_a_sentence(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "run.pkl"
    file.write_bytes(content)
    with pytest.raises(RunDirError, match=r"run\.pkl"):
        read(file)
    with pytest.raises(RunDirError, match="There is no run at"):
        read(tmp_path / "nowhere")
