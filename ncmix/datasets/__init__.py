"""Every data set by its name: batches on the device, images as uint8, no loader processes.

What fits the device's memory lies there as a whole; what does not is streamed to it.
"""

from collections.abc import Callable
from typing import Any

import torch

from ncmix.datahome import DataHome
from ncmix.datasets import digits, folder, gaussian, imagenet, public, subset
from ncmix.datasets.base import Data, DataError, Split, Whole
from ncmix.datasets.placing import Chosen, placed
from ncmix.datasets.raw import Raw, channel_statistics
from ncmix.datasets.sizes import resized
from ncmix.spec import Builtin, Dataset

__all__ = ["DATASETS", "Data", "DataError", "Split", "Whole", "load"]


def load(dataset: Dataset, home: DataHome, device: torch.device, seed: int) -> Data:
    """The data that the spec asks for, on `device`. `seed` chooses subsets and wrong labels, nothing else.

    Mean and deviation are those of the whole training split, before any subset is taken.

    Raises:
        DataError: the data are missing, damaged, or do not fit the spec.
    """
    raw = DATASETS[dataset.kind](dataset, home)
    mean, std = raw.statistics or channel_statistics(raw.train.x)
    splits = _chosen(dataset, raw, seed), Chosen(raw.test.x, None, raw.test.y)
    train, test = placed(splits, device, raw.mapped, home.resident_bytes)
    return Data(train, test, raw.classes, mean.to(device), std.to(device))


def _chosen(dataset: Dataset, raw: Raw, seed: int) -> Chosen:
    kept_N = subset.kept(dataset, raw.train.y, len(raw.classes), seed)
    y_N = raw.train.y if kept_N is None else raw.train.y[kept_N]
    return Chosen(raw.train.x, kept_N, subset.mislabelled(y_N, dataset.label_noise, len(raw.classes), seed))


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
