"""What only a GPU can tell of a whole run: all of the vocabulary is recorded, waits for nothing, repeats its bits.

On a machine without the service's packages: `pytest -m gpu --noconftest` on the files that have tests marked gpu.
"""

import logging
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch

from ncmix import accelerate
from ncmix.checkpoint import Checkpoints, load
from ncmix.datahome import DataHome
from ncmix.results import Snapshot
from ncmix.spec import VOCABULARY, parse
from ncmix.train import Trainer, run
from tests.ncmix.models.zoo import SMALL

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    # A first run tries kernels, and timm's pictures are larger.
    pytest.mark.timeout(300),
    # Said whenever waiting is watched for.
    pytest.mark.filterwarnings("ignore:Synchronization debug mode"),
]

HOME = DataHome(Path("unused"))
# 160 pictures in five batches: a graph is recorded at the first of the second epoch.
BASE: dict[str, Any] = {
    "dataset": {"kind": "digits", "per_class": 16, "augment": "crop_flip"},
    "model": {"kind": "convnet", "width": 0.125},
    "optimizer": {"kind": "sgd", "lr": 0.01}, "epochs": 3, "batch_size": 32, "device": "cuda",
    "measure": {"epochs": "last", "geometry": {"per_pair": 4, "lambdas": 3}},
}  # fmt: skip
OBJECTIVES = [
    *({"loss": loss, **({"head": "etf"} if loss == "dot_regression" else {})} for loss in VOCABULARY["loss"]),
    *({"mix": mix} for mix in VOCABULARY["mix"]),
]
MODELS = [{"model": model.model_dump(mode="json")} for model in SMALL]


def rows(**fields: Any) -> dict[tuple[int, str, str], float | None]:
    """Every number of a run."""
    return _rows(run(parse({**BASE, **fields}), home=HOME))


def _rows(items: Any) -> dict[tuple[int, str, str], float | None]:
    return {(s.epoch, m.split, m.name): m.value for s in items if isinstance(s, Snapshot) for m in s.metrics}


def name(fields: dict[str, Any]) -> str:
    return "-".join(str(v["kind"] if isinstance(v, dict) else v) for v in fields.values())


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("fields", [*MODELS, *OBJECTIVES], ids=name)
def test_everything_is_recorded_and_learns(fields, precision, caplog):
    """What cannot be recorded trains on, plainly, with a warning: there must be none."""
    with caplog.at_level(logging.WARNING, "ncmix"):
        found = rows(**fields, precision=precision)
    assert not caplog.records
    assert found[3, "running", "loss"] is not None
    assert found[3, "train", "nc1"] is not None


@pytest.mark.parametrize("fields", [*MODELS, *OBJECTIVES], ids=name)
def test_the_same_bits_twice_if_deterministic(fields):
    assert rows(**fields, deterministic=True) == rows(**fields, deterministic=True)


@pytest.mark.parametrize("fields", OBJECTIVES, ids=name)
def test_an_epoch_never_waits_for_the_gpu(fields, caplog):
    trainer = Trainer(parse({**BASE, **fields, "epochs": 9}), torch.device("cuda"), HOME)
    for epoch in range(1, 9):  # until every place of blending is recorded
        _train(trainer, epoch)
    trainer.begin(9)
    torch.cuda.set_sync_debug_mode("error")
    try:
        while trainer.step < trainer.steps:
            trainer.advance(60.0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert not caplog.records, "a recording that waited would have been given up"


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix", "manifold_mixup"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_from_a_checkpoint_the_rest_is_the_same(tmp_path, optimizer, mix):
    spec = parse({**BASE, "optimizer": optimizer, "mix": mix, "deterministic": True})
    whole = _rows(run(spec, home=HOME))
    training = run(spec, home=HOME)
    next(item for item in training if isinstance(item, Snapshot) and item.epoch == 2)
    saved = Checkpoints(tmp_path).write(training.checkpoint())
    rest = _rows(run(spec, home=HOME, resume=load(saved)))
    assert rest == {row: value for row, value in whole.items() if row[0] == 3}


@pytest.mark.parametrize("fields", MODELS, ids=name)
def test_a_compiled_step_is_the_plain_one(fields):
    """One step: after a few of them a deep network makes percents of what sums in another order differ by."""
    trainer, alike = Trainer(parse({**BASE, **fields}), torch.device("cuda"), HOME), []
    compiled = accelerate.compiled(trainer.network)

    def both(step: accelerate.Step, tensors: accelerate.Tensors, place: int) -> None:
        before = trainer.moving.take()
        step(trainer.network, tensors, place)
        plain = trainer.moving.take()
        if trainer.step > 0:  # from the second on the optimizer has memories
            trainer.moving.put(before)
            step(compiled, tensors, place)
            alike.append(trainer.moving.alike(before, plain))

    trainer.accelerated = both
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the compiler's own
        _train(trainer, 1)
    assert alike == [True] * 4


def test_without_a_compiler_it_is_recorded_as_it_is(caplog, monkeypatch):
    """As on a host that has no gcc; it learns what a run learns that was not to be compiled."""

    def broken(graph: Any, inputs: Any) -> Any:
        raise RuntimeError("Failed to find C compiler.")

    monkeypatch.setattr(accelerate, "compiled", lambda network: torch.compile(network, dynamic=False, backend=broken))
    weights = []
    for mode in ("graph", "compiled"):
        trainer = Trainer(parse({**BASE, "deterministic": True}), torch.device("cuda"), HOME)
        trainer.accelerated = accelerate.build(trainer.network, mode, trainer.moving)
        with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "ncmix"):
            warnings.simplefilter("ignore")  # the compiler's own
            for epoch in (1, 2, 3):
                _train(trainer, epoch)
        weights.append([p.detach().clone() for p in trainer.network.parameters()])
        assert trainer.accelerated._replays, "it goes on kernel by kernel"
    (said,) = [r.getMessage() for r in caplog.records if r.name == "ncmix.accelerate"]
    assert said.startswith("Training goes on without compiling: ")
    torch.testing.assert_close(weights[1], weights[0], rtol=1e-3, atol=1e-5)


def test_compiled_it_learns_the_same(caplog):
    """Sums in another order, so not the same bits; in float32, lest rounding hide what matters."""
    losses = []
    for mode in ("plain", "compiled"):
        trainer = Trainer(parse(BASE), torch.device("cuda"), HOME)
        with warnings.catch_warnings(), caplog.at_level(logging.WARNING, "ncmix"):
            warnings.simplefilter("ignore")  # the compiler's own
            trainer.accelerated = accelerate.build(trainer.network, mode, trainer.moving)
            losses.append([_train(trainer, epoch) for epoch in (1, 2, 3)])
    assert not caplog.records
    assert losses[0] == pytest.approx(losses[1], rel=0.01)


def _train(trainer: Trainer, epoch: int) -> float:
    """The running loss of the epoch."""
    trainer.begin(epoch)
    while trainer.step < trainer.steps:
        trainer.advance(60.0)
    return trainer.running()[0].value or 0.0
