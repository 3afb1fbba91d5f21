"""Small experiments and what they yield, for tests of the service around them."""

from typing import Any

import numpy as np

from ncmix.results import ArraySet, Metric, Probe, Snapshot
from ncmix.spec import Spec, parse


def toy(**changes: Any) -> Spec:
    """A spec whose epochs take milliseconds on a CPU; `changes` replace whole fields."""
    fields: dict[str, Any] = {
        "dataset": {"kind": "gaussian", "classes": 3, "dim": 4, "train_per_class": 40, "test_per_class": 10},
        "model": {"kind": "mlp", "hidden": [8]},
        "optimizer": {"kind": "sgd", "lr": 0.05},
        "epochs": 3,
        "batch_size": 16,
        "measure": {"epochs": {"every": 1}, "geometry": None},
    }
    return parse({**fields, **changes})


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
