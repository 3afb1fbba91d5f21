"""What a run yields and what is kept of it: numbers and NumPy arrays, the same for notebook, disk and database."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

# `running` are means over an epoch's own (mixed, augmented) batches while the weights move;
# `train` and `test` are measured on clean data with the weights at the end of the epoch.
MetricSplit = Literal["running", "train", "test"]


@dataclass(frozen=True)
class Metric:
    """One measured number. `value` is None where the quantity is undefined or not finite, and `note` says why."""

    split: MetricSplit
    name: str
    value: float | None
    note: str = ""

    def __post_init__(self) -> None:
        if self.value is not None and not math.isfinite(self.value):
            object.__setattr__(self, "note", self.note or f"the computation gave {self.value}")
            object.__setattr__(self, "value", None)


@dataclass(frozen=True)
class ArraySet:
    """Named arrays with one row a sample, measured together: `train`, `test` (H, y) or `geometry`.

    `facts` holds what is needed to read them and has no rows, such as the classifier or the batch-norm mode.
    """

    name: str
    arrays: Mapping[str, NDArray[Any]]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(lengths := {len(a) for a in self.arrays.values()}) > 1:
            raise ValueError(f"The arrays of set {self.name!r} have different numbers of rows: {sorted(lengths)}")


@dataclass(frozen=True)
class Tick:
    """A sign of life between snapshots: `step` of `steps` batches of `epoch` have been handed to the device."""

    epoch: int
    step: int
    steps: int


@dataclass(frozen=True)
class Snapshot:
    """The state of a run at the end of `epoch`: its metrics, and the array sets the spec asks to keep."""

    epoch: int
    metrics: tuple[Metric, ...]
    sets: tuple[ArraySet, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Channels:
    """Where the theory has the mixtures of a probe: the unconstrained-features optimum nearest to their means.

    Attributes:
        m, lambda_h: ‖w_k‖² and λ_H of that optimum; kappa: κ = mK/((K−1)λ_H), which alone decides its shape.
        residual: the metric `mix_ufm_residual`.
        same: (3, 2) the place of the mixtures within each class, whatever their λ.
        different: (3, L, 2) the paths of the mixtures of first and second, second and third, first and third class.
    """

    m: float
    lambda_h: float
    kappa: float
    residual: float
    same: NDArray[np.float32]
    different: NDArray[np.float32]

    def to_facts(self) -> dict[str, Any]:
        """As plain values."""
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in vars(self).items()}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Channels":
        """From what `to_facts` gave."""
        paths = {name: np.asarray(facts[name], np.float32) for name in ("same", "different")}
        return cls(*(facts[name] for name in ("m", "lambda_h", "kappa", "residual")), **paths)


@dataclass(frozen=True)
class Probe:
    """The mixed geometry probe of one epoch in the plane of three classifiers (science: Fisher et al. 2024, App. B.2).

    Attributes:
        points: (P, 2) projected features of mixtures λ·x_first + (1−λ)·x_second.
        lam: (P,) the λ of each mixture.
        first, second: (P,) the two classes of each mixture; equal for same-class pairs.
        classifier: (3, 2) the projected rows of W.
        classes: the three class indices; class_names: what they are called.
        mode: whether batch normalisation used running ("eval") or batch ("train") statistics.
        theory: what the theory expects; None in train mode, of which the class means are not known, or if undefined.
    """

    points: NDArray[np.float32]
    lam: NDArray[np.float32]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    classifier: NDArray[np.float32]
    classes: tuple[int, int, int]
    class_names: tuple[str, str, str]
    mode: Literal["eval", "train"]
    theory: Channels | None = None

    def to_set(self) -> ArraySet:
        """As the array set `geometry`."""
        arrays = {"points": self.points, "lam": self.lam, "first": self.first, "second": self.second}
        facts = {
            "classifier": self.classifier.tolist(),
            "classes": list(self.classes),
            "class_names": list(self.class_names),
            "mode": self.mode,
            "theory": self.theory.to_facts() if self.theory else None,
        }
        return ArraySet("geometry", arrays, facts)

    @classmethod
    def from_set(cls, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> "Probe":
        """From the arrays and facts of a set `geometry`."""
        a, b, c = facts["classes"]
        p, q, r = facts["class_names"]
        return cls(
            points=np.asarray(arrays["points"], np.float32),
            lam=np.asarray(arrays["lam"], np.float32),
            first=np.asarray(arrays["first"], np.int64),
            second=np.asarray(arrays["second"], np.int64),
            classifier=np.asarray(facts["classifier"], np.float32),
            classes=(a, b, c),
            class_names=(p, q, r),
            mode=facts["mode"],
            theory=Channels.from_facts(expected) if (expected := facts.get("theory")) else None,
        )


@dataclass(frozen=True)
class MetricRow:
    """A metric with its epoch: one row of `metrics.csv`, one row of the table. `note` says why a value is undefined."""

    epoch: int
    split: str
    name: str
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Run:
    """All that plots and tables need of one run, wherever it was read from."""

    title: str
    spec: Mapping[str, Any]
    rows: tuple[MetricRow, ...]
    probes: Mapping[int, Probe] = field(default_factory=dict)

    def curve(self, name: str, split: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Epochs and values of one metric, by epoch; an undefined value is NaN. Both are empty if never measured."""
        chosen = sorted(
            ((r.epoch, r.value) for r in self.rows if r.name == name and r.split == split), key=lambda pair: pair[0]
        )
        epochs = np.array([e for e, _ in chosen], np.int64)
        return epochs, np.array([math.nan if v is None else v for _, v in chosen], np.float64)

    def last(self, name: str, split: str) -> float | None:
        """The value at the last epoch at which this metric was measured; None if undefined or never measured."""
        epochs, values = self.curve(name, split)
        return None if len(epochs) == 0 or math.isnan(values[-1]) else float(values[-1])


def rows_of(snapshots: Iterable[Snapshot]) -> list[MetricRow]:
    """The metrics of snapshots as tidy rows."""
    return [MetricRow(s.epoch, m.split, m.name, m.value) for s in snapshots for m in s.metrics]
