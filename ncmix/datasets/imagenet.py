"""ImageNet and Tiny-ImageNet as their archives unpack: `train/<wnid>/**`, and the validation pictures as test split."""

import csv
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ncmix.datahome import DataHome
from ncmix.datasets import decoded
from ncmix.datasets.base import DataError
from ncmix.datasets.decoded import Picture
from ncmix.datasets.folder import shown
from ncmix.datasets.raw import Raw
from ncmix.spec import FACTS, Builtin, ImageNet


@dataclass(frozen=True)
class _Layout:
    """How one of them is published.

    `inside` is the folder in which its archive holds `train`. `answers` is the list that gives each validation picture
    its class where they lie unsorted, and `words` names the classes; both beside `train` or at the archive's root.
    """

    inside: Path
    answers: Path
    read: Callable[[Path], dict[str, str]]
    words: Path


def load(dataset: Builtin | ImageNet, home: DataHome) -> Raw:
    """Both splits from the folder registered under the kind's name, or from the data folder; classes by their wnid.

    Validation pictures lie in `val/<wnid>/**`, or all together with the published list of their classes.

    Raises:
        DataError: the data are not there, not complete, or have pictures that cannot be used.
    """
    layout = LAYOUTS[dataset.kind]
    base, folder = _found(dataset.kind, layout, home)
    try:
        wnids = [entry.name for entry in shown(folder / "train") if entry.is_dir()]
        labels = {wnid: label for label, wnid in enumerate(wnids)}
        train = list(_sorted_by_class("train", folder / "train", labels))
        test = list(_validation(base, folder, layout, labels))
        names = _names(_either(folder, base, layout.words))
    except OSError as error:
        raise DataError(f"{dataset.kind}: {error.filename} cannot be read ({error.strerror}).") from error
    _check(dataset.kind, folder, len(wnids), len(train), len(test))
    classes = tuple(names.get(wnid, wnid) for wnid in wnids)
    return decoded.load(dataset.kind, [*train, *test], classes, dataset.image_size, home)


def _found(kind: str, layout: _Layout, home: DataHome) -> tuple[Path, Path]:
    """The root of the archive, and the folder in it that holds `train`."""
    bases = [home.folders[kind]] if kind in home.folders else [home.root / kind, home.root]
    for base in bases:
        if (base / layout.inside / "train").is_dir():
            return base, base / layout.inside
        if base != home.root and (base / "train").is_dir():
            return base, base
    raise DataError(
        f"The data set {kind} is not here: there is no folder train in {bases[0]} or {bases[-1] / layout.inside}. "
        f"Unpack it there, or name its folder in NCMIX_IMAGE_FOLDERS={kind}=/path; it cannot be downloaded for you."
    )


def _sorted_by_class(split: Literal["train", "test"], folder: Path, labels: dict[str, int]) -> Iterator[Picture]:
    for wnid, label in labels.items():
        for entry in _files(folder / wnid):
            yield Picture.of(split, label, entry)


def _files(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Every picture below a folder. Tiny-ImageNet has a list of bounding boxes beside them."""
    for entry in shown(folder):
        if entry.is_dir():
            yield from _files(Path(entry.path))
        elif not entry.name.endswith(".txt"):
            yield entry


def _validation(base: Path, folder: Path, layout: _Layout, labels: dict[str, int]) -> Iterator[Picture]:
    val = folder / "val"
    if all((val / wnid).is_dir() for wnid in labels):
        yield from _sorted_by_class("test", val, labels)
        return
    answers = _either(folder, base, layout.answers)
    if not answers.is_file():
        raise DataError(f"The pictures in {val} are neither in folders val/<wnid>, nor is there the list {answers}.")
    wnid_of = layout.read(answers)
    for entry in _files(val):
        wnid = wnid_of.get(entry.name)
        if wnid not in labels:
            raise DataError(f"{answers} gives {entry.path} the class {wnid or 'none'}, which {folder / 'train'} lacks.")
        yield Picture.of("test", labels[wnid], entry)


def _either(folder: Path, base: Path, name: Path) -> Path:
    return folder / name if (folder / name).is_file() else base / name


def _check(kind: str, folder: Path, classes: int, train: int, test: int) -> None:
    """A copy that lacks pictures would give other numbers under the same name."""
    facts = FACTS[kind]
    if (classes, train, test) != (facts.classes, facts.train, facts.test):
        raise DataError(
            f"{folder} is not all of {kind}: it has {classes} classes, {train} training and {test} validation pictures "
            f"instead of {facts.classes}, {facts.train} and {facts.test}. A part of it can be used as an image_folder."
        )


def _tiny_answers(file: Path) -> dict[str, str]:
    """Lines of file name, wnid and a bounding box, with tabs between."""
    rows = (line.split("\t") for line in file.read_text(encoding="utf-8").splitlines() if line.strip())
    return {row[0]: row[1] for row in rows}


def _kaggle_answers(file: Path) -> dict[str, str]:
    """ImageId (a file name without its ending) and a prediction string that starts with the wnid."""
    with file.open(newline="", encoding="utf-8") as opened:
        return {f"{row['ImageId']}.JPEG": row["PredictionString"].split()[0] for row in csv.DictReader(opened)}


def _names(words: Path) -> dict[str, str]:
    """wnid → the first of its words, where the list of words is there."""
    if not words.is_file():
        return {}
    pairs = (line.split(maxsplit=1) for line in words.read_text(encoding="utf-8").splitlines() if line.strip())
    return {wnid: rest[0].split(",")[0].strip() for wnid, *rest in pairs if rest}


LAYOUTS: dict[str, _Layout] = {
    "tiny_imagenet": _Layout(
        Path("tiny-imagenet-200"), Path("val", "val_annotations.txt"), _tiny_answers, Path("words.txt")
    ),
    "imagenet": _Layout(
        Path("ILSVRC", "Data", "CLS-LOC"), Path("LOC_val_solution.csv"), _kaggle_answers, Path("LOC_synset_mapping.txt")
    ),
}
