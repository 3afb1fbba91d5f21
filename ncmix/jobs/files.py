"""Array sets as files that are made while they are sent: .npy, .npz and Parquet, never whole in memory.

Where the length is known beforehand any part of a file can be had by itself; its bytes are the same every time.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ncmix.jobs.archive import Archive, size_of
from ncmix.jobs.chunks import CHUNK_BYTES, Column, Source
from ncmix.jobs.selecting import Selection, taken
from ncmix.jobs.sink import Sink

Bytes = bytes | memoryview


class File(Protocol):
    """A file that is made while it is read; `size` is None if its length is known at its end only."""

    @property
    def size(self) -> int | None:
        """Bytes of the whole file."""
        ...

    def read(self, first: int, last: int | None) -> Iterator[Bytes]:
        """Its bytes from `first` up to, but without, `last`."""
        ...


@dataclass(frozen=True)
class Npy:
    """An array in NumPy's format; a part of it reads only the chunks it lies in."""

    source: Source
    column: Column
    rows: Selection

    @property
    def header(self) -> bytes:
        """All that comes before the first row."""
        shape = (len(self.rows), *self.column.shape[1:])
        text = io.BytesIO()
        described = {"descr": self.column.dtype.str, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(text, described)
        return text.getvalue()

    @property
    def size(self) -> int:
        """See File."""
        return len(self.header) + len(self.rows) * self.column.row_bytes

    def read(self, first: int, last: int | None) -> Iterator[Bytes]:
        """See File."""
        last = self.size if last is None else last
        header = self.header
        yield from _cut([header], first, min(last, len(header)))
        at = len(header)
        for chunk in self.source.chunks:
            if chunk.array != self.column.name:
                continue
            end = chunk.first_row + chunk.rows
            size = self.rows.count(chunk.first_row, end) * self.column.row_bytes
            if size and at < last and at + size > first:
                ((_, rows),) = self.source.blocks(chunk.array, chunk.first_row, end)
                data = _memory(taken(rows, self.rows.within(chunk.first_row, end)))
                yield data[max(0, first - at) : last - at]
            at += size


@dataclass(frozen=True)
class Npz:
    """Arrays in NumPy's zip, uncompressed: all bytes before a part must be made to reach it."""

    arrays: Sequence[Npy]

    @property
    def size(self) -> int:
        """See File."""
        return size_of((f"{a.column.name}.npy", a.size) for a in self.arrays)

    def read(self, first: int, last: int | None) -> Iterator[Bytes]:
        """See File."""
        return _cut(self._made(), first, self.size if last is None else last)

    def _made(self) -> Iterator[bytes]:
        archive = Archive()
        for array in self.arrays:
            yield from archive.add(f"{array.column.name}.npy", array.read(0, None))
        yield from archive.end()


@dataclass(frozen=True)
class Parquet:
    """Arrays as columns; one of several dimensions has fixed-size lists, its shape is in the metadata of its field."""

    source: Source
    columns: Sequence[Column]
    rows: Selection
    size: None = None

    def read(self, first: int, last: int | None) -> Iterator[Bytes]:
        """See File: as its length is unknown, there is only all of it."""
        sink = Sink()
        schema = pa.schema([_field(column) for column in self.columns])
        with pq.ParquetWriter(pa.PythonFile(sink, "w"), schema, use_dictionary=False) as writer:
            for table in self._tables(schema):
                writer.write_table(table)
                yield sink.take()
        yield sink.take()

    def _tables(self, schema: pa.Schema) -> Iterator[pa.Table]:
        """As many rows at a time as fill a quarter of a chunk: on their way they are copied several times."""
        step = max(1, CHUNK_BYTES // 4 // max(1, sum(column.row_bytes for column in self.columns)))
        for first in range(self.rows.first, self.rows.last, step):
            last = min(first + step, self.rows.last)
            if self.rows.count(first, last):
                arrays = [
                    _arrow(self._block(c, first, last), f.type) for c, f in zip(self.columns, schema, strict=True)
                ]
                yield pa.table(arrays, schema=schema)

    def _block(self, column: Column, first: int, last: int) -> NDArray[Any]:
        found = [rows for _, rows in self.source.blocks(column.name, first, last)]
        return taken(np.concatenate(found) if len(found) > 1 else found[0], self.rows.within(first, last))


def _field(column: Column) -> pa.Field:
    kind = pa.from_numpy_dtype(column.dtype) if column.dtype.kind != "U" else pa.string()
    if len(column.shape) == 1:
        return pa.field(column.name, kind)
    size = int(np.prod(column.shape[1:]))
    return pa.field(column.name, pa.list_(kind, size), metadata={"shape": str(list(column.shape[1:]))})


def _arrow(rows: NDArray[Any], kind: pa.DataType) -> pa.Array:
    flat = pa.array(rows.reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, type=kind) if pa.types.is_fixed_size_list(kind) else flat


def _memory(rows: NDArray[Any]) -> memoryview:
    return rows.view(np.uint8).reshape(-1).data


def _cut(pieces: Sequence[bytes] | Iterator[bytes], first: int, last: int) -> Iterator[Bytes]:
    """Bytes `first` to `last` − 1 of what the pieces are together."""
    at = 0
    for piece in pieces:
        if at >= last:
            return
        if at + len(piece) > first:
            yield memoryview(piece)[max(0, first - at) : last - at]
        at += len(piece)
