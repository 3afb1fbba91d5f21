"""What a run will take, as far as the spec alone can say."""

from dataclasses import dataclass

from ncmix.spec.data import class_sizes, facts
from ncmix.spec.experiment import Spec

_BYTES = {"float16": 2, "float32": 4}


@dataclass(frozen=True)
class Workload:
    """Optimizer steps, and bytes of kept features; None where only a worker can see how many samples there are."""

    steps: int | None
    feature_bytes: int | None


def workload(spec: Spec) -> Workload:
    """What this spec asks for.

    The rows of features are counted from the mean size of a class, so that unequal classes make it a little too much.
    """
    known = facts(spec.dataset)
    if known is None:
        return Workload(None, None)
    kept = class_sizes(spec.dataset, (known.train // known.classes,) * known.classes)
    # Without a subset every sample is used, also those by which the classes differ.
    whole = spec.dataset.per_class is None and spec.dataset.imbalance is None
    batches = -(-(known.train if whole else sum(kept)) // spec.batch_size)
    sizes = {"train": kept, "test": (-(-known.test // known.classes),) * known.classes}
    most = spec.features.max_per_class
    rows = sum(n if most is None else min(n, most) for split in spec.measure.splits for n in sizes[split])
    return Workload(spec.epochs * batches, _feature_bytes(spec, rows))


def _feature_bytes(spec: Spec, rows: int) -> int | None:
    if spec.features.keep == "none":
        return 0
    if spec.model.feature_dim is None:
        return None
    epochs = 1 if spec.features.keep == "last" else len(spec.measured_epochs)
    return epochs * rows * spec.model.feature_dim * _BYTES[spec.features.dtype]
