"""The public data sets that torchvision downloads, checks and reads: whole splits at once, no item by item."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncmix.datahome import DataHome
from ncmix.datasets.base import DataError, Whole
from ncmix.datasets.locks import alone
from ncmix.datasets.raw import Raw, split_of
from ncmix.spec import Builtin

# torchvision sets none, and a network that swallows packets would hold a job for minutes.
_SILENCE_SECONDS = 20.0

_DIGIT_NAMES = tuple(str(digit) for digit in range(10))

# x (N, C, H, W) uint8, y (N,), the names of the classes
_Arrays = tuple[NDArray[np.uint8], NDArray[np.integer], tuple[str, ...]]


@dataclass(frozen=True)
class _Source:
    """One data set: how to read a split, the files it is read from, and what to fetch by hand into which folder."""

    read: Callable[[Path, bool, bool], _Arrays]
    files: Callable[[Path], list[Path]]
    fetch: Callable[[Path], tuple[list[str], Path]]


def load(dataset: Builtin, home: DataHome) -> Raw:
    """Both splits, from files under `home.root` laid out as torchvision does; downloaded first where they are missing.

    Raises:
        DataError: the files are missing and cannot be downloaded, or are damaged.
    """
    source = SOURCES[dataset.kind]()
    with suppress(Exception):  # missing or damaged, and a damaged file can raise anything
        return _read(source, home.root)
    try:
        with alone(home.root / ".download.lock"), _no_endless_wait():
            for train in (True, False):
                source.read(home.root, train, True)
        return _read(source, home.root)
    except Exception as error:
        raise DataError(_sentence(dataset.kind, source, home.root, error)) from error


def _read(source: _Source, root: Path) -> Raw:
    x_train, y_train, classes = source.read(root, True, False)
    x_test, y_test, _ = source.read(root, False, False)
    return Raw(_checked(x_train, y_train, classes), _checked(x_test, y_test, classes), classes)


def _checked(x_N: NDArray[np.uint8], y_N: NDArray[np.integer], classes: tuple[str, ...]) -> Whole:
    # torchvision does not verify unpacked MNIST files.
    if len(x_N) != len(y_N) or len(y_N) == 0 or not 0 <= y_N.min() <= y_N.max() < len(classes):
        raise ValueError(f"{len(x_N)} images do not go with {len(y_N)} labels of {len(classes)} classes")
    return split_of(x_N, y_N)


@contextmanager
def _no_endless_wait() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_SILENCE_SECONDS)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _sentence(kind: str, source: _Source, root: Path, error: Exception) -> str:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    files = source.files(root)
    folder = files[0].parent
    if missing := [f.name for f in files if not f.is_file()]:
        addresses, target = source.fetch(root)
        return (
            f"The data set {kind} is not here: {', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing "
            f"from {folder}, and the download failed ({reason}). To put them there by hand, fetch "
            f"{', '.join(addresses)} and place what you get, without unpacking it, in {target}."
        )
    return f"The files of {kind} in {folder} are damaged ({reason}). Delete them to have them downloaded again."


def _cifar(cls: Any) -> _Source:
    def read(root: Path, train: bool, download: bool) -> _Arrays:
        split = cls(root, train=train, download=download)
        return split.data.transpose(0, 3, 1, 2), np.array(split.targets), tuple(split.classes)

    def files(root: Path) -> list[Path]:
        names = [*(name for name, _ in cls.train_list + cls.test_list), cls.meta["filename"]]
        return [root / cls.base_folder / name for name in names]

    return _Source(read, files, lambda root: ([cls.url], root))


def _mnist(cls: Any, classes: tuple[str, ...] | None = None) -> _Source:
    def read(root: Path, train: bool, download: bool) -> _Arrays:
        split = cls(root, train=train, download=download)
        return split.data.numpy()[:, None], split.targets.numpy(), classes or tuple(cls.classes)

    def files(root: Path) -> list[Path]:
        return [root / cls.__name__ / "raw" / Path(file).stem for file, _ in cls.resources]

    def fetch(root: Path) -> tuple[list[str], Path]:
        return [cls.mirrors[0] + file for file, _ in cls.resources], root / cls.__name__ / "raw"

    return _Source(read, files, fetch)


def _svhn(cls: Any) -> _Source:
    def read(root: Path, train: bool, download: bool) -> _Arrays:
        split = cls(root, split="train" if train else "test", download=download)
        return split.data, split.labels, _DIGIT_NAMES

    def files(root: Path) -> list[Path]:
        return [root / cls.split_list[split][1] for split in ("train", "test")]

    return _Source(read, files, lambda root: ([cls.split_list[split][0] for split in ("train", "test")], root))


def _stl10(cls: Any) -> _Source:
    """The labelled pictures. torchvision's own reader would first check the 2.8 GB that have no labels."""
    names = {True: cls.train_list[:2], False: cls.test_list}

    def read(root: Path, train: bool, download: bool) -> _Arrays:
        if download:
            cls(root, split="train" if train else "test", download=True)
        folder = root / cls.base_folder
        pixels, labels = (_verified(folder / name, md5) for name, md5 in names[train])
        # Published column after column.
        x_N = pixels.reshape(-1, 3, 96, 96).transpose(0, 1, 3, 2)
        return x_N, labels.astype(np.int64) - 1, tuple((folder / cls.class_names_file).read_text().split())

    def files(root: Path) -> list[Path]:
        return [
            root / cls.base_folder / name for name in (*(n for s in names.values() for n, _ in s), cls.class_names_file)
        ]

    return _Source(read, files, lambda root: ([cls.url], root))


def _verified(file: Path, md5: str) -> NDArray[np.uint8]:
    content = file.read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5:
        raise ValueError(f"{file.name} does not have the published checksum")
    return np.frombuffer(content, np.uint8)


def _torchvision() -> Any:
    from torchvision import datasets  # noqa: PLC0415 - takes seconds, and the other data sets do without

    return datasets


SOURCES: dict[str, Callable[[], _Source]] = {
    "mnist": lambda: _mnist(_torchvision().MNIST, _DIGIT_NAMES),
    "kmnist": lambda: _mnist(_torchvision().KMNIST),
    "fashion_mnist": lambda: _mnist(_torchvision().FashionMNIST),
    "svhn": lambda: _svhn(_torchvision().SVHN),
    "cifar10": lambda: _cifar(_torchvision().CIFAR10),
    "cifar100": lambda: _cifar(_torchvision().CIFAR100),
    "stl10": lambda: _stl10(_torchvision().STL10),
}
