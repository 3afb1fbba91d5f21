"""Scikit-learn's 1,797 handwritten digits, 8×8 pixels with values 0 to 16: real data that needs no download."""

from typing import Any

import numpy as np

from ncmix.datahome import DataHome
from ncmix.datasets.raw import Raw, split_of
from ncmix.spec import Builtin

_TEST_EVERY = 5


def load(dataset: Builtin, home: DataHome) -> Raw:
    """1,442 training and 355 test images: within each class, in file order, every fifth image is for testing."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - takes seconds, and only this data set needs it

    digits: Any = load_digits()
    x_N, y_N = digits.images.astype(np.uint8)[:, None], digits.target
    rank_N = np.zeros_like(y_N)
    for label in range(10):
        rank_N[y_N == label] = np.arange((y_N == label).sum())
    test_N = rank_N % _TEST_EVERY == _TEST_EVERY - 1
    classes = tuple(str(label) for label in range(10))
    return Raw(split_of(x_N[~test_N], y_N[~test_N]), split_of(x_N[test_N], y_N[test_N]), classes)
