"""Synthetic vectors around random class means: a data set of any size whose truth is known.

Shapes: N samples, K classes, D vector dimension.
"""

import numpy as np

from ncmix.datahome import DataHome
from ncmix.datasets.base import Whole
from ncmix.datasets.raw import Raw, split_of
from ncmix.spec import Gaussian


def load(dataset: Gaussian, home: DataHome) -> Raw:
    """Vectors that depend on the fields of `dataset` only: `draw` seeds them, not the experiment's seed."""
    generator = np.random.default_rng(dataset.draw)
    mean_KD = generator.standard_normal((dataset.classes, dataset.dim), np.float32)
    mean_KD *= dataset.separation / np.linalg.norm(mean_KD, axis=1, keepdims=True)

    def around(per_class: int) -> Whole:
        y_N = np.repeat(np.arange(dataset.classes), per_class)
        x_ND = generator.standard_normal((len(y_N), dataset.dim), np.float32)
        x_ND += mean_KD[y_N]
        return split_of(x_ND, y_N)

    classes = tuple(str(label) for label in range(dataset.classes))
    return Raw(around(dataset.train_per_class), around(dataset.test_per_class), classes)
