"""What one measurement costs, held against one plain forward pass over the same pictures in the same precision.

Both as in a run with many measurements, for which cuDNN searches its fastest kernels.
"""

import math
from collections.abc import Iterator
from statistics import median
from typing import Any

import torch

from benchmarks.clock import interleaved, ratio
from benchmarks.report import Table
from benchmarks.subjects import Ours, pictures, spec
from ncmix.measure import BATCH, Measurer
from ncmix.numerics import arithmetic

COLUMNS = ("what", "seconds", "against the pass")


def table(model: dict[str, Any], count: int, device: torch.device, rounds: int) -> Iterator[Table]:
    """A forward pass, the whole table of one split, and the same with the mixed probe."""
    asked = {"epochs": "papyan", "splits": ["train"], "geometry": None}
    wanted = spec(model=model, batch_size=min(128, count), measure=asked, features={"keep": "none"})
    probed = spec(model=model, batch_size=min(128, count), measure={**asked, "geometry": {"per_pair": min(300, count)}})
    ours = Ours(wanted, device, pictures(count, device, None), "plain")
    subjects = {
        "forward pass": lambda: _passed(ours),
        "measurement": lambda: measured(ours, ours.trainer.measurer),
        "with the mixed probe": lambda: measured(
            ours, Measurer(probed, ours.trainer.data, ours.trainer.network, ours.trainer.loss)
        ),
    }
    rates = interleaved(subjects, rounds, device)
    rows = [(name, count / median(r), ratio(rates["forward pass"], r)) for name, r in rates.items()]
    yield Table(f"One measurement of {count} pictures, {model['kind']}, float32 without TF32, {device}", COLUMNS, rows)


def _passed(ours: Ours) -> int:
    """What nobody can do without: the features of every picture, in the measurer's batches."""
    trainer = ours.trainer
    trainer.network.eval()
    with torch.no_grad(), arithmetic(searching=True):
        for x_B, _ in trainer.data.train.batches(BATCH):
            trainer.network(trainer.data.normalize(x_B))
    return len(trainer.data.train)


def measured(ours: Ours, measurer: Measurer) -> int:
    """One measurement of what the measurer's spec asks for."""
    for _ in measurer.at(ours.trainer.spec.measured_epochs[-1], math.inf):
        pass
    return len(ours.trainer.data.train)
