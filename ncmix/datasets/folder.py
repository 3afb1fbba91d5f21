"""A user's own pictures: `train/<class>/*` and `test/<class>/*` in a registered folder, decoded once into a cache."""

import os
from collections.abc import Iterator
from pathlib import Path

from ncmix.datahome import DataHome
from ncmix.datasets import decoded
from ncmix.datasets.base import DataError
from ncmix.datasets.decoded import SPLITS, Picture
from ncmix.datasets.raw import Raw
from ncmix.spec import ImageFolder


def load(dataset: ImageFolder, home: DataHome) -> Raw:
    """Both splits; classes in alphabetical order. Hidden files are ignored, every other file must be a picture.

    Raises:
        DataError: the folder is not registered, not of this form, or has pictures that cannot be used.
    """
    folder = _registered(dataset.name, home)
    classes, pictures = _listing(folder)
    return decoded.load(dataset.name, pictures, classes, dataset.image_size, home)


def _registered(name: str, home: DataHome) -> Path:
    if name not in home.folders:
        known = ", ".join(sorted(home.folders)) or "none"
        raise DataError(
            f"The image folder {name!r} is not registered on this machine; registered are: {known} "
            "(the operator names folders in NCMIX_IMAGE_FOLDERS)."
        )
    return home.folders[name]


def _listing(folder: Path) -> tuple[tuple[str, ...], list[Picture]]:
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
    train, test = ({entry.name for entry in shown(folder / split) if entry.is_dir()} for split in SPLITS)
    if train != test:
        raise DataError(
            f"The image folder {folder} has different classes in its splits: "
            f"only in train: {', '.join(sorted(train - test)) or 'none'}; "
            f"only in test: {', '.join(sorted(test - train)) or 'none'}."
        )
    if len(train) < 2:
        raise DataError(f"The image folder {folder} has {len(train)} class(es); at least 2 are needed.")
    return tuple(sorted(train))


def shown(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name, without hidden files."""
    with os.scandir(folder) as entries:
        return sorted((e for e in entries if not e.name.startswith(".")), key=lambda entry: entry.name)


def _pictures(folder: Path, classes: tuple[str, ...]) -> Iterator[Picture]:
    """Every file in a fixed order: split, class, name."""
    for split in SPLITS:
        for label, name in enumerate(classes):
            if not (entries := shown(folder / split / name)):
                raise DataError(f"The class folder {folder / split / name} has no pictures.")
            for entry in entries:
                if entry.is_dir():
                    raise DataError(f"{entry.path} is a folder; pictures lie directly in the folder of their class.")
                yield Picture.of(split, label, entry)
