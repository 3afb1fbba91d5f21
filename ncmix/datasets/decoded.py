"""Picture files decoded once: both splits together, kept in a cache that knows every file it was made of."""

import hashlib
import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from ncmix.datahome import DataHome
from ncmix.datasets.cache import Cache, Contents
from ncmix.datasets.pictures import decode, in_memory, size_of
from ncmix.datasets.raw import Raw, split_of

SPLITS = ("train", "test")

# Part of the key: raise it when the same pictures are to give other pixels.
_FORMAT = 3


@dataclass(frozen=True)
class Picture:
    """A file and what it shows; `bytes` and `changed` (ns) tell when it is no longer the same."""

    split: Literal["train", "test"]
    label: int
    path: Path
    bytes: int
    changed: int

    @classmethod
    def of(cls, split: Literal["train", "test"], label: int, entry: os.DirEntry[str]) -> "Picture":
        """The picture of a directory entry."""
        status = entry.stat()
        return cls(split, label, Path(entry.path), status.st_size, status.st_mtime_ns)


def load(
    name: str, pictures: Sequence[Picture], classes: tuple[str, ...], image_size: int | None, home: DataHome
) -> Raw:
    """Both splits of `pictures`, in which those for training come first.

    The cache lies in `home.root/cache`; the names of its files begin with `name` and have a key made of every
    picture's path, size and modification time. Without a place for it all pictures are decoded into memory.

    Raises:
        DataError: there are pictures that cannot be used, or neither disk nor memory have room for them.
    """
    folder = home.root / "cache"
    cache = Cache(folder, f"{name}-{_key(pictures, classes, image_size)}")
    if kept := cache.recall():
        return kept
    paths = [p.path for p in pictures]
    y_N = np.array([p.label for p in pictures], np.int64)
    train = sum(p.split == "train" for p in pictures)
    try:
        contents = Contents(y_N, train, classes, size_of(paths[0], image_size))
        return cache.made(contents, partial(decode, paths, image_size))
    except OSError as error:
        warnings.warn(f"The decoded pictures cannot be kept in {folder}: {error}", stacklevel=2)
    x_N = in_memory(paths, image_size)
    return Raw(split_of(x_N[:train], y_N[:train]), split_of(x_N[train:], y_N[train:]), classes)


def _key(pictures: Sequence[Picture], classes: tuple[str, ...], image_size: int | None) -> str:
    digest = hashlib.sha256(json.dumps([_FORMAT, image_size, classes]).encode())
    for p in pictures:
        digest.update(json.dumps([p.split, p.label, str(p.path.absolute()), p.bytes, p.changed]).encode())
    return digest.hexdigest()[:24]
