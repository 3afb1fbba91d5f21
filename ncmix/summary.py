"""What the metrics of an epoch sum up, class by class and direction by direction: small arrays that plots need."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncmix.arrays import ArraySet, numbers, plain

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Summary:
    """Class means, classifier and decisions at an epoch, for each of S measured splits. K classes, M bins.

    What is undefined, as the mean of an absent class, is NaN. The K×K arrays are None where they were too large to be
    kept of every epoch.

    Attributes:
        splits: their names, the order of the axis S; class_names: K of them.
        mean_norms: (K, S) ‖μ_k − μ_G‖, with each split's own class means.
        weight_norms: (K,) ‖w_k‖.
        mean_cosines: (K, S, K) cos(μ_k − μ_G, μ_l − μ_G).
        weight_cosines: (K, K) cos(w_k, w_l), rows not centred.
        confusion: (K, S, K) samples of class k that the network takes for l.
        bins: (S, M, 3) samples, their summed confidence max_k p_k, and how many of them are classified right, in M bins
            (lo, hi] of equal width; None where softmax of the logits is no probability.
    """

    splits: tuple[str, ...]
    class_names: tuple[str, ...]
    mean_norms: Array
    weight_norms: Array
    mean_cosines: Array | None
    weight_cosines: Array | None
    confusion: NDArray[np.integer] | None
    bins: NDArray[np.float64] | None

    def to_set(self) -> ArraySet:
        """As the array set `summary`, one row a class."""
        names = ("mean_norms", "weight_norms", "mean_cosines", "weight_cosines", "confusion")
        arrays = {name: array for name in names if (array := getattr(self, name)) is not None}
        facts = {
            "splits": list(self.splits),
            "class_names": list(self.class_names),
            "bins": None if self.bins is None else plain(self.bins),
        }
        return ArraySet("summary", arrays, facts)

    @classmethod
    def from_set(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> "Summary":
        """From the arrays and facts of a set `summary`."""
        return cls(
            splits=tuple(facts["splits"]),
            class_names=tuple(facts["class_names"]),
            mean_norms=arrays["mean_norms"],
            weight_norms=arrays["weight_norms"],
            mean_cosines=arrays.get("mean_cosines"),
            weight_cosines=arrays.get("weight_cosines"),
            confusion=arrays.get("confusion"),
            bins=None if facts["bins"] is None else numbers(facts["bins"]),
        )


@dataclass(frozen=True)
class Spectra:
    """How widely features spread in each principal direction, in the units of the features, largest first.

    Attributes:
        splits: S names.
        between: (D, S) roots of the eigenvalues of Σ_B, which are the singular values of M̃ over √K; NaN beyond the
            min(K−1, D) there are, or if undefined.
        within: (D, S) roots of the eigenvalues of Σ_W.
    """

    splits: tuple[str, ...]
    between: Array
    within: Array

    def to_set(self) -> ArraySet:
        """As the array set `spectrum`, one row a direction."""
        return ArraySet("spectrum", {"between": self.between, "within": self.within}, {"splits": list(self.splits)})

    @classmethod
    def from_set(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> "Spectra":
        """From the arrays and facts of a set `spectrum`."""
        return cls(tuple(facts["splits"]), arrays["between"], arrays["within"])
