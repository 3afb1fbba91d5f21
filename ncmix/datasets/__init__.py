"""Every data set by its name: whole splits as tensors on the device, images as uint8, no loader processes."""

from collections.abc import Callable
from typing import Any

import torch

from ncmix.datahome import DataHome
from ncmix.datasets import digits, folder, gaussian, imagenet, public, subset
from ncmix.datasets.base import Data, DataError, Split
from ncmix.datasets.raw import Raw, channel_statistics
from ncmix.datasets.sizes import resized
from ncmix.spec import Builtin, Dataset

__all__ = ["DATASETS", "Data", "DataError", "Split", "load"]


def load(dataset: Dataset, home: DataHome, device: torch.device, seed: int) -> Data:
    """The data that the spec asks for, on `device`. `seed` chooses subsets and wrong labels, nothing else.

    Mean and deviation are those of the whole training split, before any subset is taken.

    Raises:
        DataError: the data are missing, damaged, or do not fit the spec.
    """
    raw = DATASETS[dataset.kind](dataset, home)
    mean, std = channel_statistics(raw.train.x)
    train = subset.thin(dataset, raw.train, len(raw.classes), seed)
    train = subset.mislabel(train, dataset.label_noise, len(raw.classes), seed)
    return Data(_on(device, train), _on(device, raw.test), raw.classes, mean.to(device), std.to(device))


def _on(device: torch.device, split: Split) -> Split:
    return Split(split.x.to(device), split.y.to(device))


def _in_size(load: Callable[[Builtin, DataHome], Raw]) -> Callable[[Builtin, DataHome], Raw]:
    """For loaders of arrays: the pictures brought to `image_size`; folders are decoded to it."""
    return lambda dataset, home: resized(load(dataset, home), dataset.image_size)


DATASETS: dict[str, Callable[[Any, DataHome], Raw]] = {
    "digits": _in_size(digits.load),
    **dict.fromkeys(public.SOURCES, _in_size(public.load)),
    **dict.fromkeys(imagenet.LAYOUTS, imagenet.load),
    "gaussian": gaussian.load,
    "image_folder": folder.load,
}
