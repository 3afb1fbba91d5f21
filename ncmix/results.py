"""What a run yields and what is kept of it: numbers and NumPy arrays, the same for notebook, disk and database."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ncmix.arrays import ArraySet, numbers, plain
from ncmix.summary import Spectra, Summary

__all__ = [
    "ArraySet",
    "Channels",
    "Curve",
    "Fetching",
    "Metric",
    "MetricRow",
    "MetricSplit",
    "Probe",
    "Response",
    "Run",
    "Snapshot",
    "Spectra",
    "Summary",
    "Tick",
    "rows_of",
]

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
class Response:
    """How mixtures of two different classes answer to λ, on the probe's grid of L values, in eval mode.

    The three columns are the pairs of first and second, second and third, first and third class.

    Attributes:
        lam: (L,) λ, the share of the first of the pair.
        gap, gap_std: (L, 3) mean and population std over mixtures of z_i − z_j.
        ahead, ahead_std: (L, 3) of ⟨h − μ_G, v⟩/‖v‖² with v = ½(μ̃_i + μ̃_j): 1 where h is linear in λ between class
            means of equal length; `mix_amplification` is its mean at λ = ½.
        theory_gap, theory_ahead: (L,), (L, 3) the same of the unconstrained-features optimum that fits best, held
            against its own class means; None where there is none.
    """

    lam: NDArray[np.float64]
    gap: NDArray[np.float64]
    gap_std: NDArray[np.float64]
    ahead: NDArray[np.float64]
    ahead_std: NDArray[np.float64]
    theory_gap: NDArray[np.float64] | None = None
    theory_ahead: NDArray[np.float64] | None = None

    def to_facts(self) -> dict[str, Any]:
        """As plain values."""
        return {name: None if array is None else plain(array) for name, array in vars(self).items()}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Response":
        """From what `to_facts` gave."""
        read: dict[str, Any] = {name: None if told is None else numbers(told) for name, told in facts.items()}
        return cls(**read)


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
        response: logits and amplification against λ; None in probes made before these were kept.
        features: (P, D) of the mixtures before they are projected, if they are wanted: the set `mixed` has them.
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
    response: Response | None = None
    features: NDArray[np.float32] | None = None

    def some(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> "Probe":
        """Only those of the mixtures, by place or by whether they are wanted, without their features."""
        arrays = {name: getattr(self, name)[which] for name in ("points", "lam", "first", "second")}
        return replace(self, **arrays, features=None)

    def to_set(self) -> ArraySet:
        """As the array set `geometry`."""
        arrays = {"points": self.points, "lam": self.lam, "first": self.first, "second": self.second}
        facts = {
            "classifier": self.classifier.tolist(),
            "classes": list(self.classes),
            "class_names": list(self.class_names),
            "mode": self.mode,
            "theory": self.theory.to_facts() if self.theory else None,
            "response": self.response.to_facts() if self.response else None,
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
            response=Response.from_facts(told) if (told := facts.get("response")) else None,
        )


@runtime_checkable
class Fetching(Protocol):
    """What a run holds by epoch, where it is read from somewhere and several epochs at once are read sooner."""

    def fetch(self, epochs: Collection[int]) -> None:
        """Says that these epochs will be asked for, as far as they are there."""


@dataclass(frozen=True)
class MetricRow:
    """A metric with its epoch: one row of `metrics.csv`, one row of the table. `note` says why a value is undefined."""

    epoch: int
    split: str
    name: str
    value: float | None
    note: str = ""


@dataclass(frozen=True)
class Curve:
    """One metric over the epochs at which it was measured; NaN where it was undefined. Both (E,), by epoch."""

    epochs: NDArray[np.int64]
    values: NDArray[np.float64]

    @property
    def defined(self) -> NDArray[np.float64]:
        """The values that are numbers."""
        return self.values[np.isfinite(self.values)]


@dataclass(frozen=True)
class Run:
    """All that plots and tables need of one run, wherever it was read from.

    Probes, summaries and spectra are by epoch. Where `every` is n > 1, curves hold but every n-th measured epoch.
    """

    title: str
    spec: Mapping[str, Any]
    rows: tuple[MetricRow, ...]
    probes: Mapping[int, Probe] = field(default_factory=dict)
    summaries: Mapping[int, Summary] = field(default_factory=dict)
    spectra: Mapping[int, Spectra] = field(default_factory=dict)
    every: int = 1

    @cached_property
    def curves(self) -> Mapping[tuple[str, str], Curve]:
        """Every metric that was ever measured, by (name, split)."""
        grouped: dict[tuple[str, str], list[MetricRow]] = {}
        for row in self.rows:
            grouped.setdefault((row.name, row.split), []).append(row)
        return {key: _curve(rows) for key, rows in grouped.items()}

    def curve(self, name: str, split: str) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Epochs and values of one metric, by epoch; an undefined value is NaN. Both are empty if never measured."""
        found = self.curves.get((name, split)) or _curve([])
        return found.epochs, found.values

    def last(self, name: str, split: str) -> float | None:
        """The value at the last epoch at which this metric was measured; None if undefined or never measured."""
        epochs, values = self.curve(name, split)
        return None if len(epochs) == 0 or math.isnan(values[-1]) else float(values[-1])


def _curve(rows: list[MetricRow]) -> Curve:
    rows = sorted(rows, key=lambda row: row.epoch)
    values = [math.nan if row.value is None else row.value for row in rows]
    return Curve(np.array([row.epoch for row in rows], np.int64), np.array(values, np.float64))


def rows_of(snapshots: Iterable[Snapshot]) -> list[MetricRow]:
    """The metrics of snapshots as tidy rows."""
    return [MetricRow(s.epoch, m.split, m.name, m.value, m.note) for s in snapshots for m in s.metrics]
