"""Array sets in the record: cut into chunks of whole rows on the way in, put together on the way out."""

import hashlib
import logging
import secrets
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, text
from sqlalchemy.orm import Session

from ncmix.jobs.chunks import CHUNK_BYTES, Chunk, chunks_of, columns_of, load, loaded, object_name, verify
from ncmix.jobs.database import Database
from ncmix.jobs.fencing import held
from ncmix.jobs.objects import ObjectError
from ncmix.jobs.states import Lease
from ncmix.jobs.tables import FeatureChunk, FeatureSet
from ncmix.results import ArraySet

_LOG = logging.getLogger(__name__)

# Chunks that are hashed and put in their places at once: it takes several times as long as to load them.
_HASHED = 2


def stage(database: Database, lease: Lease, epoch: int, arrays: ArraySet) -> int:
    """Write a set in many short fenced transactions; readers see it once `recording.record` completes it.

    Returns:
        The number of the set.

    Raises:
        LeaseLostError: the lease is not held any more.
        ObjectError: the feature store does not take it.
        ValueError: an array holds Python objects.
    """
    plain = {name: _plain(name, array) for name, array in arrays.arrays.items()}
    with ThreadPoolExecutor(1) as beside:
        # Hashing lets go of Python's lock: it costs nothing while the chunks travel.
        digests = {name: beside.submit(_digest, array) for name, array in plain.items()}
        with database.transaction() as session:
            held(session, lease)
            kept = _open(session, database, lease, epoch, arrays, plain)
        for name, array in plain.items():
            for first, rows in _chunks(array):
                _write(database, lease, kept, name, first, rows)
        with database.transaction() as session:
            held(session, lease)
            kept = session.merge(kept)
            kept.columns = {
                name: {**described, "sha256": digests[name].result()} for name, described in kept.columns.items()
            }
    return kept.id


def read(session: Session, kept: FeatureSet) -> ArraySet:
    """The arrays of a set, as they were written.

    Raises:
        DamagedSetError: they are not any more.
        ObjectError: the feature store does not give them.
    """
    arrays = _room_for(kept)
    # One by one: a single query would hold all the bytes a second time. The next is loaded while some are hashed.
    with ThreadPoolExecutor(_HASHED) as beside:
        under_way = deque[Future[None]]()
        for chunk in chunks_of(session, kept):
            data = load(session, chunk)
            if len(under_way) == _HASHED:
                under_way.popleft().result()
            under_way.append(beside.submit(_place, arrays, chunk, data))
        for last in under_way:
            last.result()
    return ArraySet(kept.name, arrays, kept.facts)


def read_all(session: Session, kept: Sequence[FeatureSet]) -> list[ArraySet]:
    """The arrays of several sets; see `read`. Of small ones whose bytes are rows all come in a single query."""
    if any(each.folder for each in kept) or sum(each.size for each in kept) > CHUNK_BYTES:
        return [read(session, each) for each in kept]
    arrays = {each.id: _room_for(each) for each in kept}
    for chunk, data in loaded(session, [each.id for each in kept]):
        _place(arrays[chunk.set_id], chunk, data)
    return [ArraySet(each.name, arrays[each.id], each.facts) for each in kept]


def _room_for(kept: FeatureSet) -> dict[str, NDArray[Any]]:
    return {name: np.empty(column.shape, column.dtype) for name, column in columns_of(kept).items()}


def _place(arrays: dict[str, NDArray[Any]], chunk: Chunk, data: memoryview) -> None:
    """Put the bytes of a chunk where they belong, once they are held against their digest."""
    verify(chunk, data)
    rows = arrays[chunk.array][chunk.first_row : chunk.first_row + chunk.rows]
    rows[...] = np.frombuffer(data, rows.dtype).reshape(rows.shape)


def forget(database: Database, folder: str) -> None:
    """Remove what the feature store has under the name of an experiment, or of one of its sets, that is deleted.

    What cannot be removed now is for `leftovers` to find.
    """
    try:
        if database.objects:
            database.objects.forget(folder)
    except ObjectError as error:
        _LOG.warning("%s", error)


def _plain(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """In C order and little endian."""
    if array.dtype.hasobject:
        raise ValueError(f"The array {name!r} has dtype {array.dtype}; allowed are numbers, truth values and strings.")
    swapped = array.dtype.byteorder == ">" or (array.dtype.byteorder == "=" and sys.byteorder == "big")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<")) if swapped else array)


def _open(
    session: Session, database: Database, lease: Lease, epoch: int, arrays: ArraySet, plain: dict[str, NDArray[Any]]
) -> FeatureSet:
    same = (FeatureSet.experiment_id == lease.experiment_id, FeatureSet.epoch == epoch, FeatureSet.name == arrays.name)
    session.execute(delete(FeatureSet).where(*same))
    opened = FeatureSet(
        experiment_id=lease.experiment_id,
        epoch=epoch,
        name=arrays.name,
        state="writing",
        rows=max((len(a) for a in plain.values()), default=0),
        size=sum(a.nbytes for a in plain.values()),
        columns={name: {"dtype": a.dtype.str, "shape": list(a.shape)} for name, a in plain.items()},
        facts=dict(arrays.facts),
        # No other set's, of whatever database: an object is never written over.
        folder=f"{lease.experiment_id}/{secrets.token_hex(8)}" if database.objects else None,
    )
    session.add(opened)
    session.flush()
    return opened


def _write(database: Database, lease: Lease, kept: FeatureSet, name: str, first: int, rows: NDArray[Any]) -> None:
    """Put a chunk on record, its object first: what has a row is there."""
    data = _bytes(rows)
    if database.objects and kept.folder:
        database.objects.put(object_name(kept.folder, name, first), data)
    chunk = {
        "set_id": kept.id,
        "array": name,
        "first_row": first,
        "rows": len(rows),
        "data": b"" if kept.folder else data,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    with database.transaction() as session:
        _need_not_last(session)
        held(session, lease)
        session.execute(insert(FeatureChunk), [chunk])


def _need_not_last(session: Session) -> None:
    """Let PostgreSQL not wait for its disk: the commit that completes the set waits for all that came before it."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET LOCAL synchronous_commit = off"))


def _digest(array: NDArray[Any]) -> str:
    return hashlib.sha256(_bytes(array) if array.size else b"").hexdigest()


def _bytes(array: NDArray[Any]) -> memoryview:
    """The memory of an array that has any and is in C order, uncopied; text has no buffer of its own kind."""
    return array.view(np.uint8).reshape(-1).data


def _chunks(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    if not array.size:
        return
    step = max(1, CHUNK_BYTES // (array.nbytes // len(array)))
    for first in range(0, len(array), step):
        yield first, array[first : first + step]
