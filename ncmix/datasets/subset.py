"""Smaller, unbalanced and mislabelled training splits, drawn from a seed.

A larger subset of the same seed contains a smaller one, and a noisier one keeps the wrong labels of one less noisy.

Shapes: N samples, K classes.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix.datasets.base import DataError
from ncmix.spec import Dataset, class_sizes

# Apart from each other and from every stream of `mix.Draws`.
_THINNING, _NOISE = 101, 102


def kept(dataset: Dataset, y_N: Tensor, classes: int, seed: int) -> Tensor | None:
    """Increasing numbers of the images that `per_class` and `imbalance` leave of every class; None for all.

    Raises:
        DataError: a class has fewer images than `per_class`.
    """
    if dataset.per_class is None and dataset.imbalance is None:
        return None
    available_K = np.bincount(y_N.numpy(), minlength=classes)
    if dataset.per_class is not None and dataset.per_class > available_K.min():
        raise DataError(
            f"dataset.per_class: {dataset.per_class} is more than the rarest class of {dataset.kind} has; "
            f"allowed are 1 to {available_K.min()}."
        )
    sizes_K = np.array(class_sizes(dataset, tuple(available_K.tolist())))
    return torch.from_numpy(_drawn(y_N.numpy(), available_K, sizes_K, _generator(seed, _THINNING)))


def _drawn(
    y_N: NDArray[np.int64], available_K: NDArray[np.int64], sizes_K: NDArray[np.int64], generator: np.random.Generator
) -> NDArray[np.int64]:
    """Increasing indices of `sizes_K` random samples of each class."""
    shuffled_N = generator.permutation(len(y_N))
    by_class_N = shuffled_N[np.argsort(y_N[shuffled_N], kind="stable")]
    first_K = np.cumsum(available_K) - available_K
    label_N = y_N[by_class_N]
    rank_N = np.arange(len(y_N)) - first_K[label_N]
    return np.sort(by_class_N[rank_N < sizes_K[label_N]])


def mislabelled(y_N: Tensor, share: float, classes: int, seed: int) -> Tensor:
    """The labels with a share of them, rounded to whole samples, replaced by a different class chosen uniformly."""
    count = round(share * len(y_N))
    if count == 0:
        return y_N
    generator = _generator(seed, _NOISE)
    chosen = torch.from_numpy(generator.permutation(len(y_N))[:count])
    step = torch.from_numpy(generator.integers(1, classes, len(y_N)))[chosen]
    wrong_N = y_N.clone()
    wrong_N[chosen] = (wrong_N[chosen] + step) % classes
    return wrong_N


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream,)))
