"""What a training yields, made up, for tests of what is done with it."""

import numpy as np

from ncmix.results import ArraySet, Metric, Probe, Snapshot


def probe() -> Probe:
    """A geometry probe of four points."""
    return Probe(
        points=np.arange(8, dtype=np.float32).reshape(4, 2),
        lam=np.array([0.0, 0.3, 0.7, 1.0], np.float32),
        first=np.array([0, 0, 1, 2]),
        second=np.array([1, 0, 2, 2]),
        classifier=np.eye(3, 2, dtype=np.float32),
        classes=(0, 1, 2),
        class_names=("zero", "one", "two"),
        mode="eval",
    )


def snapshot(epoch: int, sets: tuple[ArraySet, ...] = (), seconds: float = 0.5) -> Snapshot:
    """The end of an epoch as a training would yield it; accuracy is epoch/100, nc1 undefined."""
    metrics = (
        Metric("running", "loss", 1.0 / (epoch + 1)),
        Metric("train", "nc1", None, "the class means span no plane"),
        Metric("train", "accuracy", epoch / 100),
        Metric("test", "accuracy", epoch / 100),
    )
    return Snapshot(epoch, metrics, sets, seconds)
