"""Array sets in the record: cut into chunks of whole rows on the way in, put together on the way out."""

import hashlib
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from ncmix.jobs.database import Database
from ncmix.jobs.fencing import held
from ncmix.jobs.states import Lease
from ncmix.jobs.tables import FeatureChunk, FeatureSet
from ncmix.results import ArraySet

# A larger value keeps other writers of SQLite waiting: 98 MiB in one took 416 ms, 4 MiB take 40 ms.
CHUNK_BYTES = 4 * 2**20


def stage(database: Database, lease: Lease, epoch: int, arrays: ArraySet) -> int:
    """Write a set in many short fenced transactions; readers see it once `recording.record` completes it.

    Returns:
        The number of the set.

    Raises:
        LeaseLostError: the lease is not held any more.
        ValueError: an array holds Python objects.
    """
    plain = {name: _plain(name, array) for name, array in arrays.arrays.items()}
    with database.transaction() as session:
        held(session, lease)
        set_id = _open(session, lease, epoch, arrays, plain)
    for name, array in plain.items():
        for first, rows in _chunks(array):
            with database.transaction() as session:
                held(session, lease)
                session.add(
                    FeatureChunk(set_id=set_id, array=name, first_row=first, rows=len(rows), data=rows.tobytes())
                )
    return set_id


def read(session: Session, kept: FeatureSet) -> ArraySet:
    """The arrays of a set, as they were written."""
    arrays = {name: np.empty(column["shape"], column["dtype"]) for name, column in kept.columns.items()}
    chunk = (FeatureChunk.array, FeatureChunk.first_row, FeatureChunk.rows)
    of_set = FeatureChunk.set_id == kept.id
    # One by one: a single query would hold all the bytes a second time.
    for name, first, rows in session.execute(select(*chunk).where(of_set)).all():
        here = (of_set, FeatureChunk.array == name, FeatureChunk.first_row == first)
        data = session.scalars(select(FeatureChunk.data).where(*here)).one()
        array = arrays[name]
        array[first : first + rows] = np.frombuffer(data, array.dtype).reshape(rows, *array.shape[1:])
    return ArraySet(kept.name, arrays, kept.facts)


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """In C order and little endian."""
    if array.dtype.hasobject:
        raise ValueError(f"The array {name!r} has dtype {array.dtype}; allowed are numbers, truth values and strings.")
    swapped = array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")) if swapped else array)


def _open(session: Session, lease: Lease, epoch: int, arrays: ArraySet, plain: dict[str, NDArray[Any]]) -> int:
    same = (FeatureSet.experiment_id == lease.experiment_id, FeatureSet.epoch == epoch, FeatureSet.name == arrays.name)
    session.execute(delete(FeatureSet).where(*same))
    opened = FeatureSet(
        experiment_id=lease.experiment_id,
        epoch=epoch,
        name=arrays.name,
        state="writing",
        rows=max((len(a) for a in plain.values()), default=0),
        size=sum(a.nbytes for a in plain.values()),
        columns={name: _described(array) for name, array in plain.items()},
        facts=dict(arrays.facts),
    )
    session.add(opened)
    session.flush()
    return opened.id


def _described(array: NDArray[Any]) -> dict[str, Any]:
    digest = hashlib.sha256(array.data if array.size else b"").hexdigest()
    return {"dtype": array.dtype.str, "shape": list(array.shape), "sha256": digest}


def _chunks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    if not array.size:
        return
    step = max(1, CHUNK_BYTES // (array.nbytes // len(array)))
    for first in range(0, len(array), step):
        yield first, array[first : first + step]
