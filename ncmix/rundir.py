"""A run on disk: `metrics.csv`, the same as Parquet, the arrays, `manifest.json` and all of it again in `run.pkl`."""

import csv
import io
import json
import pickle
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from ncmix import durable
from ncmix.errors import NcmixError
from ncmix.results import ArraySet, MetricRow, Probe, Run, Snapshot, Spectra, Summary
from ncmix.unpickle import UnpicklingError, loads

FORMAT = "ncmix run 1"
COLUMNS = ("epoch", "split", "name", "value")
_EVERY = 2**62  # no epoch is beyond it
_ARRAYS = re.compile(r"epoch-(\d{5,})-(\w+)\.(?:npz|json)")


class RunDirError(NcmixError, ValueError):
    """A run cannot be written there or read from there; the message is a sentence."""


@dataclass
class RunWriter:
    """Writes a run as it happens: every epoch is on disk before the next begins."""

    folder: Path
    manifest: Mapping[str, Any]
    rows: list[MetricRow] = field(default_factory=list)
    sets: list[tuple[int, ArraySet]] = field(default_factory=list)
    unsynced: set[Path] = field(default_factory=set)

    @classmethod
    def create(cls, folder: Path, manifest: Mapping[str, Any], parent: Path | None = None) -> "RunWriter":
        """A writer into `folder`, which must be new or empty: a run is never written over another.

        With the folder of a `parent` it begins with all that was recorded there up to the epoch that is extended.

        Raises:
            RunDirError: there is something in the folder.
        """
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise RunDirError(f"{folder} is there already and not empty; name another folder with --out.")
        (folder / "arrays").mkdir(parents=True, exist_ok=True)
        writer = cls(folder, manifest)
        if parent:
            writer.rows, writer.sets = _recorded(parent, manifest["spec"]["extends"]["epochs"])
        for epoch, kept in writer.sets:
            _write_arrays(folder, epoch, kept)
        writer._write_csv()
        _write(folder / "manifest.json", json.dumps(manifest, indent=2).encode())
        return writer

    @classmethod
    def resume(cls, folder: Path, epoch: int) -> "RunWriter":
        """A writer that goes on behind `epoch` (−1: from the very start); what is later goes."""
        writer = cls(folder, json.loads((folder / "manifest.json").read_text()), *_recorded(folder, epoch))
        writer._write_csv()
        for path in (folder / "arrays").iterdir():
            if path.suffix == ".part" or ((match := _ARRAYS.fullmatch(path.name)) and int(match[1]) > epoch):
                path.unlink()
        return writer

    def _write_csv(self) -> None:
        text = io.StringIO(newline="")
        csv.writer(text).writerow(COLUMNS)
        csv.writer(text).writerows(_cells(row) for row in self.rows)
        _write(self.folder / "metrics.csv", text.getvalue().encode())

    def add(self, snapshot: Snapshot) -> None:
        """Append one epoch's metrics and arrays."""
        for kept in snapshot.sets:
            self.sets.append((snapshot.epoch, kept))
            self.unsynced.update(_write_arrays(self.folder, snapshot.epoch, kept))
        rows = [MetricRow(snapshot.epoch, m.split, m.name, m.value) for m in snapshot.metrics]
        self.rows += rows
        with (self.folder / "metrics.csv").open("a", newline="") as file:
            csv.writer(file).writerows(_cells(row) for row in rows)

    def sync(self) -> None:
        """Return once all that was added is on the disk: a checkpoint must not outlive the epochs before it."""
        metrics, arrays = self.folder / "metrics.csv", self.folder / "arrays"
        for path in (*self.unsynced, metrics, arrays, self.folder):
            durable.sync(path)
        self.unsynced.clear()

    def finish(self) -> None:
        """Write `metrics.parquet` and `run.pkl`, each whole or not at all."""
        buffer = pa.BufferOutputStream()
        pq.write_table(_table(self.rows), buffer)
        _write(self.folder / "metrics.parquet", buffer.getvalue().to_pybytes())
        _write(self.folder / "run.pkl", to_pickle(self.manifest, self.rows, self.sets))


def to_pickle(
    manifest: Mapping[str, Any], rows: Iterable[MetricRow], sets: Iterable[tuple[int, ArraySet]] = ()
) -> bytes:
    """A run as a pickle of NumPy arrays and builtins alone: it opens anywhere NumPy is, without ncmix."""
    rows = list(rows)
    return pickle.dumps(
        {
            "format": FORMAT,
            "manifest": dict(manifest),
            "metrics": {column: [getattr(r, column) for r in rows] for column in COLUMNS},
            "sets": [{"epoch": e, "name": s.name, "facts": dict(s.facts), "arrays": dict(s.arrays)} for e, s in sets],
        }
    )


def read(path: Path) -> Run:
    """The run in a folder that `ncmix train` wrote or that an exported zip unpacked to, or in a `run.pkl`, anywhere.

    Raises:
        RunDirError: nothing readable is there. Reading executes nothing: only arrays and builtins are admitted.
    """
    if (path / "manifest.json").is_file() and not (path / "run.pkl").exists():
        return _unpacked(path)
    file = path / "run.pkl" if path.is_dir() else path
    if not file.is_file():
        raise RunDirError(f"There is no run at {path}: a run is a folder with run.pkl in it, or such a file.")
    try:
        return _run(loads(file.read_bytes()))
    except UnpicklingError as error:
        raise RunDirError(f"{file} cannot be read: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunDirError(f"{file} does not hold a run: {type(error).__name__}: {error}") from error


def _unpacked(folder: Path) -> Run:
    try:
        rows, sets = _recorded(folder, _EVERY)
        content = {
            "format": FORMAT,
            "manifest": json.loads((folder / "manifest.json").read_text()),
            "metrics": {column: [getattr(row, column) for row in rows] for column in COLUMNS},
            "sets": [{"epoch": e, "name": s.name, "arrays": s.arrays, "facts": s.facts} for e, s in sets],
        }
        return _run(content)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunDirError(f"{folder} does not hold a run: {type(error).__name__}: {error}") from error


def _run(content: Any) -> Run:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"the field 'format' is not {FORMAT!r}")
    columns = (content["metrics"][column] for column in COLUMNS)
    rows = tuple(MetricRow(*cells) for cells in zip(*columns, strict=True))
    sets = content["sets"]
    return Run(
        content["manifest"]["title"],
        content["manifest"]["spec"],
        rows,
        {s["epoch"]: Probe.from_set(s["arrays"], s["facts"]) for s in sets if s["name"] == "geometry"},
        {s["epoch"]: Summary.from_set(s["arrays"], s["facts"]) for s in sets if s["name"] == "summary"},
        {s["epoch"]: Spectra.from_set(s["arrays"], s["facts"]) for s in sets if s["name"] == "spectrum"},
    )


def _cells(row: MetricRow) -> tuple[int, str, str, str]:
    return row.epoch, row.split, row.name, "" if row.value is None else repr(row.value)


def _table(rows: list[MetricRow]) -> pa.Table:
    types = {"epoch": pa.int32(), "split": pa.string(), "name": pa.string(), "value": pa.float64()}
    return pa.table({name: pa.array([getattr(r, name) for r in rows], kind) for name, kind in types.items()})


def _write_arrays(folder: Path, epoch: int, kept: ArraySet) -> list[Path]:
    """The arrays as .npz; what has no rows, if there is any, as JSON beside it. Gives both paths."""
    stem = folder / "arrays" / f"epoch-{epoch:05d}-{kept.name}"
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **kept.arrays)
    written = {stem.with_suffix(".npz"): buffer.getvalue()}
    if kept.facts:
        written[stem.with_suffix(".json")] = json.dumps(dict(kept.facts)).encode()
    for path, content in written.items():
        _write(path, content)
    return list(written)


def _recorded(folder: Path, epoch: int) -> tuple[list[MetricRow], list[tuple[int, ArraySet]]]:
    """What is on the disk up to and with `epoch`."""
    with (folder / "metrics.csv").open(newline="") as file:
        # The last line may have been cut short by the end of its process; its epoch is a later one then.
        cells = [line for line in csv.reader(file) if len(line) == len(COLUMNS)][1:]
    rows = [MetricRow(int(e), s, n, float(v) if v else None) for e, s, n, v in cells if int(e) <= epoch]
    found = [
        (int(m[1]), m[2], path) for path in sorted((folder / "arrays").iterdir()) if (m := _ARRAYS.fullmatch(path.name))
    ]
    sets = [(e, _read_arrays(name, path)) for e, name, path in found if e <= epoch and path.suffix == ".npz"]
    return rows, sets


def _read_arrays(name: str, path: Path) -> ArraySet:
    with np.load(path, allow_pickle=False) as stored:
        arrays = dict(stored)
    facts = path.with_suffix(".json")
    return ArraySet(name, arrays, json.loads(facts.read_text()) if facts.exists() else {})


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing: a reader never sees half a file."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(content)
    partial.replace(path)
