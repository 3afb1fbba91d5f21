"""What a run will take, as far as the spec alone can say: the one count of it, for who asks before and who keeps room.

Bytes are those of the arrays that are put on record, set by set; small facts beside them, a few kB at each measured
epoch, are not counted. Where the classes of a data set differ in size, they are taken for equal.
"""

from dataclasses import dataclass

from ncmix.spec.data import Facts, even_sizes, facts, train_sizes
from ncmix.spec.experiment import Spec
from ncmix.spec.measuring import MOST_CLASSES, MOST_DIRECTIONS
from ncmix.spec.network import LinearHead

_HALF, _SINGLE, _WHOLE = 2, 4, 8
_NUMBER = {"float16": _HALF, "float32": _SINGLE}
# Of three classes.
_PAIRS = 6
# λ, and the first and the second class.
_MIXTURE = _SINGLE + _WHOLE + _WHOLE


@dataclass(frozen=True)
class Workload:
    """Optimizer steps, and bytes of what is kept; None where only a worker can see how much there is."""

    steps: int | None
    feature_bytes: int | None


def workload(spec: Spec, usual_dimension: int | None = None) -> Workload:
    """What this spec asks for; `usual_dimension` is that of features where the spec does not tell it."""
    known = facts(spec.dataset)
    if known is None:
        return Workload(None, None)
    batches = -(-sum(train_sizes(spec.dataset, known)) // spec.batch_size)
    dimension = spec.model.feature_dim or usual_dimension
    return Workload(spec.epochs * batches, None if dimension is None else _kept(spec, known, dimension))


def _kept(spec: Spec, known: Facts, dimension: int) -> int:
    """Bytes of all epochs."""
    measured = len(spec.measured_epochs)
    epochs = {"none": 0, "last": min(1, measured), "measured": measured}[spec.features.keep]
    return epochs * _features(spec, known, dimension) + _summaries(spec, known, dimension)


def _features(spec: Spec, known: Facts, dimension: int) -> int:
    """Of one epoch whose features are kept: H and y of each split, W and b, and H of mixtures with λ and pair."""
    row = _NUMBER[spec.features.dtype] * dimension
    samples = sum(_rows(spec, known, split) for split in spec.measure.splits)
    bias = isinstance(spec.head, LinearHead) and spec.head.bias
    return samples * (row + _WHOLE) + _SINGLE * known.classes * (dimension + bias) + _mixtures(spec) * (row + _MIXTURE)


def _rows(spec: Spec, known: Facts, split: str) -> int:
    """Samples of a split that are kept."""
    sizes = train_sizes(spec.dataset, known) if split == "train" else even_sizes(known.test, known.classes)
    most = spec.features.max_per_class
    return sum(size if most is None else min(size, most) for size in sizes)


def _summaries(spec: Spec, known: Facts, dimension: int) -> int:
    """Of all measured epochs: the probe's points, and what sums up classes and directions."""
    measured, splits, classes = len(spec.measured_epochs), len(spec.measure.splits), known.classes
    points = measured * _mixtures(spec) * (2 * _SINGLE + _MIXTURE)
    norms = measured * _SINGLE * classes * (splits + 1)
    squares = (measured if classes <= MOST_CLASSES else 1) * _SINGLE * classes**2 * (2 * splits + 1)
    spectra = (measured if dimension <= MOST_DIRECTIONS else 1) * _SINGLE * dimension * 2 * splits
    return points + norms + squares + spectra


def _mixtures(spec: Spec) -> int:
    return _PAIRS * spec.measure.geometry.per_pair if spec.measure.geometry else 0
