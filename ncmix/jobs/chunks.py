"""Array sets on record, chunk by chunk: no more than one is in memory, and no connection is held between two."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import literal_column, select
from sqlalchemy.orm import Session

from ncmix.errors import NcmixError
from ncmix.jobs.database import OBJECTS, Database
from ncmix.jobs.objects import Objects
from ncmix.jobs.tables import FeatureChunk, FeatureSet

# A larger value keeps other writers of SQLite waiting: 98 MiB in one took 416 ms, 4 MiB take 40 ms.
CHUNK_BYTES = 4 * 2**20


class DamagedSetError(NcmixError, RuntimeError):
    """Bytes of a set are gone, or are not those that were written; the message is a sentence."""


@dataclass(frozen=True)
class Chunk:
    """Where some rows of an array are, and the digest of their bytes, if one was taken."""

    set_id: int
    folder: str | None
    array: str
    first_row: int
    rows: int
    sha256: str | None


def object_name(folder: str, array: str, first_row: int) -> str:
    """What the object with the rows from this one on is called."""
    return f"{folder}/{array}-{first_row:010d}"


def chunks_of(session: Session, kept: FeatureSet) -> list[Chunk]:
    """Every chunk of a set, by array and row, without its bytes."""
    columns = (FeatureChunk.array, FeatureChunk.first_row, FeatureChunk.rows, FeatureChunk.sha256)
    query = select(*columns).where(FeatureChunk.set_id == kept.id)
    ordered = query.order_by(FeatureChunk.array, FeatureChunk.first_row)
    return [Chunk(kept.id, kept.folder, *row) for row in session.execute(ordered)]


def loaded(session: Session, set_ids: Sequence[int]) -> Iterator[tuple[Chunk, memoryview]]:
    """Every chunk of these sets, whose bytes are rows, with its bytes as they are there; all are in memory at once."""
    columns = (FeatureChunk.set_id, FeatureChunk.array, FeatureChunk.first_row, FeatureChunk.rows, FeatureChunk.sha256)
    query = select(*columns, FeatureChunk.data).where(FeatureChunk.set_id.in_(set_ids))
    for set_id, array, first_row, rows, sha256, data in session.execute(query):
        yield Chunk(set_id, None, array, first_row, rows, sha256), memoryview(data)


def fetch(session: Session, chunk: Chunk) -> memoryview:
    """The bytes of a chunk, held against their digest.

    Raises:
        DamagedSetError: they are not there any more, or not as they were written.
        ObjectError: they are in a store that does not give them.
    """
    data = load(session, chunk)
    verify(chunk, data)
    return data


def load(session: Session, chunk: Chunk) -> memoryview:
    """The bytes of a chunk as they are there; see `fetch`."""
    return _from_rows(session, chunk) if chunk.folder is None else _from_objects(session, chunk, chunk.folder)


def verify(chunk: Chunk, data: memoryview) -> None:
    """Hold the bytes of a chunk against their digest; see `fetch`."""
    if chunk.sha256 is not None and hashlib.sha256(data).hexdigest() != chunk.sha256:
        raise DamagedSetError(f"Rows {_rows(chunk)} are not as they were written: their SHA-256 is another.")


def _from_rows(session: Session, chunk: Chunk) -> memoryview:
    here = (FeatureChunk.set_id == chunk.set_id, FeatureChunk.array == chunk.array)
    in_place = session.get_bind().dialect.name == "sqlite"
    wanted: Any = literal_column("rowid") if in_place else FeatureChunk.data
    found = session.scalar(
        select(wanted).select_from(FeatureChunk).where(*here, FeatureChunk.first_row == chunk.first_row)
    )
    if found is None:
        raise DamagedSetError(f"Rows {_rows(chunk)} are gone: the set was deleted meanwhile.")
    return memoryview(_read_in_place(session, found) if in_place else found)


def _read_in_place(session: Session, rowid: int) -> bytes:
    """The bytes of a row of SQLite, where they lie: a query would put them together first, and then copy them."""
    driver: Any = session.connection().connection.driver_connection
    with driver.blobopen(FeatureChunk.__tablename__, FeatureChunk.data.key, rowid, readonly=True) as blob:
        return blob.read()


def _from_objects(session: Session, chunk: Chunk, folder: str) -> memoryview:
    objects: Objects | None = session.info[OBJECTS]
    if objects is None:
        raise DamagedSetError(f"Rows {_rows(chunk)} are in an object store, and NCMIX_FEATURE_STORE names none.")
    return objects.get(object_name(folder, chunk.array, chunk.first_row))


def _rows(chunk: Chunk) -> str:
    last = chunk.first_row + chunk.rows - 1
    return f"{chunk.first_row} to {last} of array {chunk.array!r} of set {chunk.set_id}"


@dataclass(frozen=True)
class Column:
    """An array of a set: its type (little endian), its shape and the SHA-256 of its bytes."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    sha256: str

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * int(np.prod(self.shape[1:], dtype=np.int64))

    @property
    def size(self) -> int:
        """Bytes of all rows."""
        return self.row_bytes * self.shape[0]


def columns_of(kept: FeatureSet) -> dict[str, Column]:
    """The arrays of a set by name."""
    return {
        name: Column(name, np.dtype(told["dtype"]), tuple(told["shape"]), told["sha256"])
        for name, told in kept.columns.items()
    }


@dataclass
class Source:
    """A complete set to be read piece by piece, whenever a reader is ready for the next.

    Every piece is read in a moment of its own. A set never changes, and its number is never given to another: what is
    read is of this one or it is an error.
    """

    database: Database
    kept: FeatureSet
    chunks: Sequence[Chunk]
    # The last chunk of each array: pieces need not end where chunks do.
    _last: dict[str, tuple[Chunk, memoryview]] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, database: Database, kept: FeatureSet) -> "Source":
        """The source of a set that was read in this session."""
        return cls(database, kept, chunks_of(session, kept))

    @property
    def columns(self) -> dict[str, Column]:
        """The arrays by name."""
        return columns_of(self.kept)

    def whole(self, name: str) -> NDArray[Any]:
        """An array, all of it in memory."""
        column = self.columns[name]
        blocks = [rows for _, rows in self.blocks(name, 0, column.shape[0])]
        return np.concatenate([np.empty((0, *column.shape[1:]), column.dtype), *blocks])

    def blocks(self, name: str, first: int, last: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """Rows `first` to `last` − 1 of an array, a chunk's at a time, each with the number of its first row."""
        column = self.columns[name]
        for chunk in self.chunks:
            start, stop = max(first, chunk.first_row), min(last, chunk.first_row + chunk.rows)
            if chunk.array == name and start < stop:
                rows = np.frombuffer(self._read(chunk), column.dtype).reshape(chunk.rows, *column.shape[1:])
                yield start, rows[start - chunk.first_row : stop - chunk.first_row]

    def _read(self, chunk: Chunk) -> memoryview:
        last = self._last.get(chunk.array)
        if last and last[0] == chunk:
            return last[1]
        with self.database.reading() as session:
            data = fetch(session, chunk)
        self._last[chunk.array] = (chunk, data)
        return data
