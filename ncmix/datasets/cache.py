"""Decoded pictures on disk: written picture by picture, mapped into memory afterwards, never held as a whole.

Shapes: N pictures, those for training first; C channels, H height, W width.
"""

import errno
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from ncmix.datasets.locks import alone
from ncmix.datasets.pictures import Put
from ncmix.datasets.raw import Raw, channel_statistics, split_of, tensor_of

# A file up to this size is read through to see that no bit of it has changed; beyond, every start would take minutes.
_CHECKED_BYTES = 2 << 30
_CHUNK_BYTES = 16 << 20


@dataclass(frozen=True)
class Contents:
    """What is to be kept: labels (N,), of which the first `train` are for training, and the pictures' height, width."""

    y_N: NDArray[np.int64]
    train: int
    classes: tuple[str, ...]
    size: tuple[int, int]


class Cache:
    """Two files: pixels `NAME.npy`, uint8 (N, C, H, W), and `NAME.npz` with all else, which is written last."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._pixels, self._facts = folder / f"{name}.npy", folder / f"{name}.npz"
        self._part, self._lock = folder / f"{name}.part", folder / f".{name}.lock"

    def made(self, contents: Contents, decode: Callable[[Put], bool]) -> Raw:
        """What is kept; if nothing is, `decode` first puts every picture and says whether all are gray.

        Raises:
            OSError: there is no place to keep it.
        """
        with alone(self._lock):
            kept = self.recall()
            if kept is None:
                self._write(contents, decode)
                kept = self.recall()
        if kept is None:
            raise OSError(errno.EIO, "What was written cannot be read", str(self._pixels))
        return kept

    def recall(self) -> Raw | None:
        """What is kept, mapped from the file; None if nothing is or it is damaged."""
        try:
            with self._facts.open("rb") as file, np.load(file, allow_pickle=False) as facts:
                y_N, train, checksum = facts["y"], int(facts["train"]), int(facts["checksum"])
                classes, statistics = tuple(facts["classes"].tolist()), facts["statistics"]
            x_N = np.load(self._pixels, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        if x_N.dtype != np.uint8 or x_N.ndim != 4 or len(x_N) != len(y_N) or checksum != _checksum(self._pixels):
            return None
        mean, std = torch.from_numpy(statistics)
        halves = split_of(x_N[:train], y_N[:train]), split_of(x_N[train:], y_N[train:])
        return Raw(*halves, classes, mapped=True, statistics=(mean, std))

    def _write(self, contents: Contents, decode: Callable[[Put], bool]) -> None:
        """Written beside and renamed, so that nobody ever reads half a cache."""
        try:
            with self._part.open("w+b") as file:
                pixels = _Pixels(file, len(contents.y_N), contents.size)
                _check_room(self._folder, pixels.length)
                if decode(pixels.put):
                    pixels.narrow()
                os.fsync(file.fileno())
            self._part.replace(self._pixels)
            self._describe(contents)
        finally:
            with suppress(OSError):
                self._part.unlink(missing_ok=True)

    def _describe(self, contents: Contents) -> None:
        x_N = np.load(self._pixels, mmap_mode="r")
        statistics = channel_statistics(tensor_of(x_N[: contents.train]))
        with self._part.open("wb") as file:
            np.savez(
                file,
                y=contents.y_N,
                train=contents.train,
                classes=np.array(contents.classes),
                statistics=torch.stack(statistics).numpy(),
                checksum=_checksum(self._pixels),
            )
            file.flush()
            os.fsync(file.fileno())
        self._part.replace(self._facts)


class _Pixels:
    """The .npy file while it is written, by several threads at once. A full disk is an error here, not a signal."""

    def __init__(self, file: BinaryIO, count: int, size: tuple[int, int]) -> None:
        self._file, self._count, self._size = file, count, size
        self._start = self._head(3)

    @property
    def length(self) -> int:
        """Bytes of the whole file, in colour."""
        return self._start + 3 * self._count * self._area

    @property
    def _area(self) -> int:
        return self._size[0] * self._size[1]

    def _head(self, channels: int) -> int:
        header: dict[str, Any] = {
            "descr": "|u1",
            "fortran_order": False,
            "shape": (self._count, channels, *self._size),
        }
        self._file.seek(0)
        np.lib.format.write_array_header_1_0(self._file, header)
        self._file.flush()
        return self._file.tell()

    def put(self, i: int, pixels: NDArray[np.uint8]) -> None:
        """Picture i, (3, H, W), or (H, W) for the same in every channel."""
        self._write(np.broadcast_to(pixels, (3, *self._size)).tobytes(), self._start + 3 * i * self._area)

    def narrow(self) -> None:
        """One channel instead of three that are the same: each picture moves forward in the file."""
        for i in range(self._count):
            gray = os.pread(self._file.fileno(), self._area, self._start + 3 * i * self._area)
            self._write(gray, self._start + i * self._area)
        self._file.truncate(self._start + self._count * self._area)
        self._head(1)  # as long as the other: it is padded to 64 bytes

    def _write(self, content: bytes, offset: int) -> None:
        if os.pwrite(self._file.fileno(), content, offset) != len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self._file.name)


def _check_room(folder: Path, needed: int) -> None:
    """Better now than after hours."""
    if needed > (free := shutil.disk_usage(folder).free):
        message = f"The pictures take {needed / 1e9:.1f} GB, and the disk has {free / 1e9:.1f} GB free"
        raise OSError(errno.ENOSPC, message, str(folder))


def _checksum(file: Path) -> int:
    """CRC-32 of the file, or of its size alone where reading it would take too long."""
    size = file.stat().st_size
    value = zlib.crc32(size.to_bytes(8, "little"))
    if size <= _CHECKED_BYTES:
        with file.open("rb") as opened:
            while chunk := opened.read(_CHUNK_BYTES):
                value = zlib.crc32(chunk, value)
    return value
