"""Zip archives that are made while they are sent: nothing compressed, nothing dated, each the same every time."""

import zipfile
from collections.abc import Iterable, Iterator
from typing import IO, cast

from ncmix.jobs.sink import Sink

# The first day that a zip can name.
_DATE = (1980, 1, 1, 0, 0, 0)

# Fixed parts of an archive (PKWARE, APPNOTE 6.3), as zipfile writes them around a file whose length it was not told.
_LOCAL_HEADER, _LOCAL_ZIP64, _DESCRIPTOR_ZIP64 = 30, 20, 24
_CENTRAL_HEADER, _END, _END_ZIP64 = 46, 22, 56 + 20
_MOST_FILES = 2**16 - 1


class Archive:
    """A zip under way: what `add` and `end` give, in that order, is the file."""

    def __init__(self) -> None:
        self._sink = Sink()
        self._zip = zipfile.ZipFile(cast("IO[bytes]", self._sink), "w")

    def add(self, name: str, content: Iterable[bytes | memoryview]) -> Iterator[bytes]:
        """The bytes of one file more."""
        with self._zip.open(zipfile.ZipInfo(name, _DATE), "w", force_zip64=True) as file:
            for piece in content:
                file.write(piece)
                yield self._sink.take()
        yield self._sink.take()

    def end(self) -> Iterator[bytes]:
        """The bytes behind the last file."""
        self._zip.close()
        yield self._sink.take()


def size_of(files: Iterable[tuple[str, int]]) -> int:
    """The bytes that an archive of these files, names and sizes, will have."""
    at, central, count = 0, 0, 0
    for name, size in files:
        encoded = len(name.encode())
        large = 2 * (size > zipfile.ZIP64_LIMIT) + (at > zipfile.ZIP64_LIMIT)
        central += _CENTRAL_HEADER + encoded + (4 + 8 * large if large else 0)
        at += _LOCAL_HEADER + encoded + _LOCAL_ZIP64 + size + _DESCRIPTOR_ZIP64
        count += 1
    zip64 = count > _MOST_FILES or at > zipfile.ZIP64_LIMIT or central > zipfile.ZIP64_LIMIT
    return at + central + (_END_ZIP64 if zip64 else 0) + _END
