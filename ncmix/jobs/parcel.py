"""An exported experiment in a zip, judged before a row is written: names, sizes, digests, and what every file holds."""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ncmix.errors import NcmixError
from ncmix.jobs.exporting import EXPORT
from ncmix.jobs.states import State
from ncmix.results import ArraySet, MetricRow
from ncmix.spec import Spec, SpecError, parse

_TOP = frozenset({"spec.yaml", "metrics.csv", "metrics.parquet", "events.json", "log.txt"})
_SET = re.compile(r"arrays/epoch-(\d{5,9})-([a-z][a-z0-9_]{0,63})\.(npz|json)")
_ARRAY = re.compile(r"([A-Za-z][A-Za-z0-9_]{0,63})\.npy")
_MOST_FILES = 100_000
_MOST_MANIFEST = 64 * 2**20
_PIECE = 2**20
_METRICS = {"epoch": pa.int32(), "split": pa.string(), "name": pa.string(), "value": pa.float64(), "note": pa.string()}


class RefusedFileError(NcmixError, ValueError):
    """A file is no experiment that can be imported; the message is a sentence."""


class _Told(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Story(_Told):
    """The row of an experiment that has ended."""

    id: str = Field(pattern=r"^[0-9a-f]{20}$")
    parent_id: str | None = Field(pattern=r"^[0-9a-f]{20}$")
    queue: str = Field(pattern=r"^[a-z]{1,16}$")
    priority: int = Field(ge=-(2**31), lt=2**31)
    state: State
    created: float
    not_before: float
    started: float | None
    finished: float
    attempt: int = Field(ge=0, lt=2**31)
    fence: int = Field(ge=0, lt=2**31)
    worker: str | None = Field(max_length=200)
    reason_code: str | None = Field(max_length=32)
    reason_message: str | None
    epoch: int = Field(ge=0, lt=2**31)
    step: int = Field(ge=0, lt=2**31)
    steps: int = Field(ge=0, lt=2**31)
    progressed: float | None
    epoch_seconds: float | None
    latest: dict[str, dict[str, float | None]]
    revision: int = Field(ge=0, lt=2**31)
    feature_bytes: int = Field(ge=0, lt=2**62)
    gpu_bytes: int | None = Field(ge=0, lt=2**62)


class Happened(_Told):
    """An event."""

    at: float
    kind: str = Field(max_length=32)
    state: State
    fence: int
    data: dict[str, Any]


@dataclass(frozen=True)
class Parcel:
    """What is in an exported file; its log and arrays are read from it when they are asked for."""

    archive: zipfile.ZipFile
    spec: Spec
    story: Story
    metrics: list[MetricRow]
    events: list[Happened]
    sets: list[tuple[int, str]]
    size: int

    def arrays(self, epoch: int, name: str) -> ArraySet:
        """An array set."""
        stem = f"arrays/epoch-{epoch:05d}-{name}"
        facts = f"{stem}.json"
        told = json.loads(self.archive.read(facts)) if facts in self.archive.namelist() else {}
        with self.archive.open(f"{stem}.npz") as file, np.load(file, allow_pickle=False) as stored:
            return ArraySet(name, dict(stored), told)

    def log(self, piece: int) -> Iterator[bytes]:
        """The log in pieces of this many bytes."""
        with self.archive.open("log.txt") as file:
            while data := file.read(piece):
                yield data


@contextmanager
def opened(file: IO[bytes], limit: int) -> Iterator[Parcel]:
    """What is in a file that another service exported, found whole and right, until the block is left.

    Raises:
        RefusedFileError: it is no such file, or unpacked it has more than `limit` bytes.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            yield _judged(archive, limit)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "/".join(map(str, first["loc"]))
        raise RefusedFileError(f"What the file says of its experiment cannot be: {place}: {first['msg']}.") from error
    except (zipfile.BadZipFile, NotImplementedError, EOFError, RuntimeError) as error:
        if isinstance(error, NcmixError):
            raise
        raise RefusedFileError(f"The file is not a zip that can be read: {error}.") from error
    except SpecError as error:
        raise RefusedFileError(f"The spec in the file cannot be used here: {' '.join(str(error).split())}") from error


def _judged(archive: zipfile.ZipFile, limit: int) -> Parcel:
    names = _names(archive, limit)
    manifest = _manifest(archive, names)
    _digests(archive, manifest["files"])
    story = Story.model_validate(manifest.get("experiment"))
    if story.state not in ("succeeded", "failed", "cancelled"):
        raise RefusedFileError(f"The experiment was {story.state} when it was exported; only one that ended is taken.")
    sets = [(int(m[1]), m[2]) for m in map(_SET.fullmatch, names) if m and m[3] == "npz"]
    size = sum(_arrays(archive, epoch, name, limit) for epoch, name in sets)
    for m in map(_SET.fullmatch, names):
        if m and m[3] == "json" and not isinstance(_read_json(archive, m[0]), dict):
            raise RefusedFileError(f"{m[0]} does not hold the facts of a set.")
    events = TypeAdapter(list[Happened]).validate_python(_read_json(archive, "events.json"))
    return Parcel(archive, parse(manifest.get("spec")), story, _metrics(archive, limit), events, sets, size)


def _names(archive: zipfile.ZipFile, limit: int) -> list[str]:
    """The names of all files: none but those that an export has, each once, not too large together."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    for name in names:
        if name not in _TOP and name != "manifest.json" and not _SET.fullmatch(name):
            raise RefusedFileError(f"The file holds {name!r:.200}, which no exported experiment has.")
    if len(set(names)) < len(names) or len(names) > _MOST_FILES:
        raise RefusedFileError(f"The file holds {len(names)} files; allowed are {_MOST_FILES}, each name once.")
    if missing := sorted({*_TOP, "manifest.json"} - set(names)):
        raise RefusedFileError(f"The file holds no {', '.join(missing)}.")
    if (size := sum(entry.file_size for entry in entries)) > limit:
        raise RefusedFileError(f"Unpacked the file would have {size:,} bytes; allowed are {limit:,}.")
    return names


def _manifest(archive: zipfile.ZipFile, names: list[str]) -> Mapping[str, Any]:
    if archive.getinfo("manifest.json").file_size > _MOST_MANIFEST:
        raise RefusedFileError(f"manifest.json is too large; allowed are {_MOST_MANIFEST:,} bytes.")
    manifest = _read_json(archive, "manifest.json")
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != EXPORT:
        raise RefusedFileError(f"The format of the file is {found!r:.100}; allowed is {EXPORT!r}.")
    files = manifest.get("files")
    if not isinstance(files, dict) or files.keys() != set(names) - {"manifest.json"}:
        raise RefusedFileError("The manifest does not list the files that are there.")
    return manifest


def _digests(archive: zipfile.ZipFile, files: Mapping[str, Any]) -> None:
    for name, told in files.items():
        digest = hashlib.sha256()
        with archive.open(name) as file:
            while piece := file.read(_PIECE):
                digest.update(piece)
        if not isinstance(told, dict) or told.get("sha256") != digest.hexdigest():
            raise RefusedFileError(f"{name} is not as it was exported: its SHA-256 is another.")


def _arrays(archive: zipfile.ZipFile, epoch: int, name: str, limit: int) -> int:
    """The bytes of the arrays of a set, as their headers say; nothing of them is unpacked beyond these."""
    file, size, lengths = f"arrays/epoch-{epoch:05d}-{name}.npz", 0, set[int]()
    with archive.open(file) as outer, zipfile.ZipFile(outer) as inner:
        for entry in inner.infolist():
            if not _ARRAY.fullmatch(entry.filename):
                raise RefusedFileError(f"{file} holds {entry.filename!r:.100}, which is no array.")
            if (size := size + entry.file_size) > limit:
                raise RefusedFileError(f"Unpacked {file} would have {size:,} bytes or more; allowed are {limit:,}.")
            with inner.open(entry) as array:
                lengths.add(_rows(array, entry.file_size, f"{entry.filename} in {file}"))
    if len(lengths) > 1:
        raise RefusedFileError(f"The arrays in {file} have different numbers of rows: {sorted(lengths)}.")
    return size


def _rows(array: IO[bytes], size: int, where: str) -> int:
    """The number of rows of an array, if its header fits its length."""
    try:
        if np.lib.format.read_magic(array) != (1, 0):
            raise ValueError("its version is another")
        shape, columns_first, dtype = np.lib.format.read_array_header_1_0(array)
    except ValueError as error:
        raise RefusedFileError(f"{where} is no array that can be read: {error}.") from error
    count = 1
    for length in shape:
        count *= length
    if dtype.hasobject or columns_first or not shape or count * dtype.itemsize != size - array.tell():
        raise RefusedFileError(f"{where} is no array of plain values, or not as long as its header says.")
    return shape[0]


def _metrics(archive: zipfile.ZipFile, limit: int) -> list[MetricRow]:
    try:
        file = pq.ParquetFile(io.BytesIO(archive.read("metrics.parquet")))
        size = sum(file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups))
        if dict(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)) != _METRICS or size > limit:
            raise RefusedFileError(f"The columns of metrics.parquet must be {', '.join(_METRICS)}.")
        rows = [MetricRow(**row) for row in file.read().to_pylist()]
    except pa.ArrowException as error:
        raise RefusedFileError(f"metrics.parquet cannot be read: {error}.") from error
    keys = {(r.epoch, r.split, r.name) for r in rows}
    known = all(
        r.epoch is not None and r.note is not None and 0 < len(r.split or "") <= 16 and 0 < len(r.name or "") <= 64
        for r in rows
    )
    if len(keys) < len(rows) or not known:
        raise RefusedFileError("metrics.parquet holds a value twice, or one without epoch, split, name or note.")
    return rows


def _read_json(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return json.loads(archive.read(name))
    except (ValueError, RecursionError) as error:
        raise RefusedFileError(f"{name} is not JSON: {error}.") from error
