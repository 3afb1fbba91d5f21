"""While it measures, a network is in the arithmetic of the spec; what reads it often lets cuDNN search first."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from ncmix import measure
from ncmix.datahome import DataHome
from ncmix.spec import parse
from ncmix.train import Trainer

FIELDS: dict[str, Any] = {
    "dataset": {"kind": "gaussian", "classes": 3, "dim": 8, "train_per_class": 20, "test_per_class": 10},
    "model": {"kind": "mlp", "hidden": [16]}, "epochs": 4, "batch_size": 8, "device": "cpu",
}  # fmt: skip


def searching(monkeypatch: pytest.MonkeyPatch, **fields: Any) -> set[bool]:
    """Whether cuDNN may search while the features of a split are read: two batches train, one test, at each epoch."""
    monkeypatch.setattr(measure, "BATCH", 30)
    monkeypatch.setattr(measure, "_SEARCHED_FROM", 12)
    trainer = Trainer(parse({**FIELDS, **fields}), torch.device("cpu"), DataHome(Path("unused")))
    seen: set[bool] = set()
    trainer.network.register_forward_pre_hook(lambda *_: seen.add(torch.backends.cudnn.benchmark))
    for _ in trainer.measurer.at(4, math.inf):
        pass
    return seen


@pytest.mark.parametrize(
    ("fields", "searched"),
    [
        ({"measure": {"epochs": [1, 2, 3, 4], "geometry": None}}, True),
        ({"measure": {"epochs": [2, 3, 4], "geometry": None}}, False),
        # The training split is read for its class means.
        ({"measure": {"epochs": [1, 2, 3, 4], "splits": ["test"], "geometry": None}}, True),
        ({"measure": {"epochs": [1, 2, 3, 4], "geometry": None}, "deterministic": True}, False),
    ],
)
def test_cudnn_searches_where_the_data_are_read_often_enough(monkeypatch, fields, searched):
    assert searching(monkeypatch, **fields) == {searched}
    assert not torch.backends.cudnn.benchmark


def test_the_network_is_left_as_it_was_found():
    trainer = Trainer(parse({**FIELDS, "measure": {"epochs": "last"}}), torch.device("cpu"), DataHome(Path("unused")))
    trainer.network.train()
    before = {name: value.clone() for name, value in trainer.network.state_dict().items()}
    for _ in trainer.measurer.at(4, math.inf):
        assert trainer.network.training
    assert trainer.network.training
    assert all(torch.equal(value, before[name]) for name, value in trainer.network.state_dict().items())
