"""A user's own pictures: `train/<class>/*` and `test/<class>/*` in a registered folder, decoded once into a cache."""

import hashlib
import json
import os
import uuid
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ncmix.datahome import DataHome
from ncmix.datasets.base import DataError
from ncmix.datasets.pictures import decode
from ncmix.datasets.raw import Raw, split_of
from ncmix.spec import ImageFolder

_SPLITS = ("train", "test")

# Part of the key: raise it when the same pictures are to give other pixels.
_FORMAT = 1


@dataclass(frozen=True)
class _Picture:
    split: str
    label: int
    path: Path
    bytes: int
    changed: int


def load(dataset: ImageFolder, home: DataHome) -> Raw:
    """Both splits; classes in alphabetical order. Hidden files are ignored, every other file must be a picture.

    The cache lies in `home.root/cache` under a key made of every file's name, size and modification time.

    Raises:
        DataError: the folder is not registered, not of this form, or has pictures that cannot be used.
    """
    folder = _registered(dataset.name, home)
    classes, pictures = _listing(folder)
    cache = home.root / "cache" / f"{dataset.name}-{_key(folder, pictures, dataset.image_size)}.npz"
    if (kept := _recall(cache)) is not None:
        return kept
    x_N = decode([p.path for p in pictures], dataset.image_size)
    y_N = np.array([p.label for p in pictures], np.int64)
    train = sum(p.split == "train" for p in pictures)
    raw = Raw(split_of(x_N[:train], y_N[:train]), split_of(x_N[train:], y_N[train:]), classes)
    _keep(cache, raw)
    return raw


def _registered(name: str, home: DataHome) -> Path:
    if name not in home.folders:
        known = ", ".join(sorted(home.folders)) or "none"
        raise DataError(
            f"The image folder {name!r} is not registered on this machine; registered are: {known} "
            "(the operator names folders in NCMIX_IMAGE_FOLDERS)."
        )
    return home.folders[name]


def _listing(folder: Path) -> tuple[tuple[str, ...], list[_Picture]]:
    try:
        classes = _classes(folder)
        return classes, list(_pictures(folder, classes))
    except OSError as error:
        raise DataError(
            f"An image folder has the form train/<class>/* and test/<class>/*, but {error.filename} cannot be read "
            f"({error.strerror})."
        ) from error


def _classes(folder: Path) -> tuple[str, ...]:
    """The names of the classes, which both splits must share."""
    train, test = ({entry.name for entry in _shown(folder / split) if entry.is_dir()} for split in _SPLITS)
    if train != test:
        raise DataError(
            f"The image folder {folder} has different classes in its splits: "
            f"only in train: {', '.join(sorted(train - test)) or 'none'}; "
            f"only in test: {', '.join(sorted(test - train)) or 'none'}."
        )
    if len(train) < 2:
        raise DataError(f"The image folder {folder} has {len(train)} class(es); at least 2 are needed.")
    return tuple(sorted(train))


def _shown(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)


def _pictures(folder: Path, classes: tuple[str, ...]) -> Iterator[_Picture]:
    """Every file in a fixed order: split, class, name."""
    for split in _SPLITS:
        for label, name in enumerate(classes):
            if not (entries := _shown(folder / split / name)):
                raise DataError(f"The class folder {folder / split / name} has no pictures.")
            for entry in entries:
                if entry.is_dir():
                    raise DataError(f"{entry.path} is a folder; pictures lie directly in the folder of their class.")
                status = entry.stat()
                yield _Picture(split, label, Path(entry.path), status.st_size, status.st_mtime_ns)


def _key(folder: Path, pictures: list[_Picture], image_size: int | None) -> str:
    listing = [(p.split, p.label, p.path.parent.name, p.path.name, p.bytes, p.changed) for p in pictures]
    text = json.dumps([_FORMAT, str(folder.resolve()), image_size, listing])
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _recall(cache: Path) -> Raw | None:
    """What was kept; None if nothing was or it is damaged, then the pictures are decoded again."""
    try:
        with cache.open("rb") as file, np.load(file, allow_pickle=False) as kept:
            train, test = (split_of(kept[f"x_{s}"], kept[f"y_{s}"]) for s in _SPLITS)
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
