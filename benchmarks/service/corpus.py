"""What both services hold: the same experiments with the same parameters, metrics and numbers of them."""

import math
from typing import Any

from ncmix.results import Metric, Snapshot
from ncmix.spec import Spec, parse

# As many as a measured epoch of a ten-class experiment has, over both splits.
METRICS = 60
SPLITS = ("train", "test")
NAMES = tuple(f"metric_{number:02d}" for number in range(METRICS))
# A few experiments have been measured so often; all others once.
LONG_EPOCHS, LONG = 100, 50


def spec(seed: int) -> Spec:
    """An experiment as people ask for it; every seed is another one.

    It keeps no features: thousands wait, and a disk that has no room for theirs would refuse more.
    """
    fields = {"dataset": "cifar10", "model": "resnet18", "loss": "cross_entropy", "mix": "mixup", "epochs": 350}
    return parse({**fields, "seed": seed, "features": {"keep": "none"}})


def snapshot(epoch: int) -> Snapshot:
    """The end of an epoch: numbers with all their digits."""
    metrics = (Metric(split, name, value(epoch, i)) for split in SPLITS for i, name in enumerate(NAMES))
    return Snapshot(epoch, tuple(metrics), seconds=20.0)


def value(epoch: int, number: int) -> float:
    """Metric number `number` of an epoch."""
    return 1.0 + math.sin(epoch + number / 7.0)


def flat(fields: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Every field of a spec as one parameter of MLflow's."""
    found: dict[str, str] = {}
    for name, content in fields.items():
        if isinstance(content, dict):
            found |= flat(content, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = str(content)
    return found
