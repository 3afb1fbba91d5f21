"""Small experiments, for tests of the service around them."""

from typing import Any

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
