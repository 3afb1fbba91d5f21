"""Picture files decoded once: both splits together, kept in a cache that knows every file it was made of."""

import hashlib
import json
import os
import uuid
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from ncmix.datahome import DataHome
from ncmix.datasets.pictures import decode
from ncmix.datasets.raw import Raw, split_of

SPLITS = ("train", "test")

# Part of the key: raise it when the same pictures are to give other pixels.
_FORMAT = 2


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

    The cache lies in `home.root/cache`; its file's name begins with `name` and has a key made of every picture's path,
    size and modification time.

    Raises:
        DataError: there are pictures that cannot be used.
    """
    cache = home.root / "cache" / f"{name}-{_key(pictures, classes, image_size)}.npz"
    if (kept := _recall(cache)) is not None:
        return kept
    x_N = decode([p.path for p in pictures], image_size)
    y_N = np.array([p.label for p in pictures], np.int64)
    train = sum(p.split == "train" for p in pictures)
    raw = Raw(split_of(x_N[:train], y_N[:train]), split_of(x_N[train:], y_N[train:]), classes)
    _keep(cache, raw)
    return raw


def _key(pictures: Sequence[Picture], classes: tuple[str, ...], image_size: int | None) -> str:
    digest = hashlib.sha256(json.dumps([_FORMAT, image_size, classes]).encode())
    for p in pictures:
        digest.update(json.dumps([p.split, p.label, str(p.path.absolute()), p.bytes, p.changed]).encode())
    return digest.hexdigest()[:24]


def _recall(cache: Path) -> Raw | None:
    """What was kept; None if nothing was or it is damaged, then the pictures are decoded again."""
    try:
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            train, test = (split_of(kept[f"x_{s}"], kept[f"y_{s}"]) for s in SPLITS)
            return Raw(train, test, tuple(kept["classes"].tolist()))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _keep(cache: Path, raw: Raw) -> None:
    """Write beside and rename, so that nobody ever reads half a cache. Without a place to write there is just none."""
    tensors = {"x_train": raw.train.x, "y_train": raw.train.y, "x_test": raw.test.x, "y_test": raw.test.y}
    arrays: dict[str, Any] = {name: tensor.numpy() for name, tensor in tensors.items()}
    beside = cache.with_name(f"{cache.name}.{uuid.uuid4().hex}.tmp")
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("xb") as file:
            np.savez(file, classes=np.array(raw.classes), **arrays)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(cache)
    except OSError as error:
        warnings.warn(f"The decoded pictures cannot be kept in {cache.parent}: {error}", stacklevel=2)
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
