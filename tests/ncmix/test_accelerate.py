"""What only a GPU does, followed on the CPU: which batches are recorded, replayed or run plainly, and what if it fails.

A recording on the CPU is the function itself: it reads what lies in the recording's inputs at every replay.
"""

import gc
import logging
import weakref
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch

from ncmix import accelerate
from ncmix.accelerate import Recorded
from ncmix.datahome import DataHome
from ncmix.results import Metric
from ncmix.spec import parse
from ncmix.train import Trainer, run

HOME = DataHome(Path("unused"))
CPU = torch.device("cpu")

# 165 samples: twenty batches of eight, and one of five, an epoch.
FIELDS: dict[str, Any] = {
    "dataset": {"kind": "gaussian", "classes": 3, "dim": 8, "train_per_class": 55, "test_per_class": 10},
    "model": {"kind": "mlp", "hidden": [16]}, "optimizer": {"kind": "sgd", "lr": 0.05},
    "epochs": 2, "batch_size": 8, "device": "cpu", "measure": {"epochs": "last", "geometry": None},
}  # fmt: skip


class Recorder:
    """Counts recordings and replays."""

    def __init__(self):
        self.recordings, self.replays = 0, 0

    def __call__(self, function):
        self.recordings += 1

        def replay():
            self.replays += 1
            function()

        return replay


def trainer(recorder=None, compiled=None, **fields):
    """A trainer whose steps a new `recorder` records, of its network, which may be compiled."""
    made = Trainer(parse({**FIELDS, **fields}), CPU, HOME)
    if recorder:
        made.recorder = recorder()
        forward = (compiled or (lambda n: n))(made.network)
        made.accelerated = Recorded(made.network, forward, made.moving, made.recorder)
    return made


def finish(trainer) -> None:
    """The rest of the epoch."""
    while trainer.step < trainer.steps:
        trainer.advance(60.0)


def trained(trainer) -> list[tuple[Metric, ...]]:
    found = []
    for epoch in range(1, trainer.spec.epochs + 1):
        trainer.begin(epoch)
        finish(trainer)
        found.append(trainer.running())
    return found


@pytest.mark.parametrize("mix", ["none", "mixup", "cutmix", "regmixup", "label_only"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_recorded_training_is_the_plain_one(mix, optimizer):
    pictures = {"dataset": {"kind": "digits", "per_class": 16}, "batch_size": 24} if mix == "cutmix" else {}
    plain, recorded = (trainer(r, mix=mix, optimizer=optimizer, **pictures) for r in (None, Recorder))
    assert trained(recorded) == trained(plain)
    assert recorded.recorder.recordings == 1
    assert all(
        torch.equal(p, q) for p, q in zip(recorded.network.parameters(), plain.network.parameters(), strict=True)
    )


def test_only_whole_batches_after_the_first_few_are_replayed():
    recorded = trainer(Recorder)
    trained(recorded)
    assert recorded.steps == 21
    assert recorded.recorder.replays == 2 * 20 - 5


def test_a_run_resumed_at_its_small_batch_records_the_others():
    first, resumed = trainer(), trainer(Recorder)
    first.begin(1)
    while first.step < first.steps - 1:
        first._train_on(*next(first.batches))
        first.step += 1
    resumed.load_state(deepcopy(first.checkpoint()))  # on disk it would be a copy, too
    for each in (first, resumed):
        finish(each)
        each.done = 1
        each.begin(2)
        finish(each)
    assert resumed.running() == first.running()
    assert resumed.recorder.replays == 20 - 5


def test_parameters_without_a_gradient_keep_none():
    recorded = trainer(Recorder, loss="supcon")
    assert trained(recorded) == trained(trainer(loss="supcon"))
    assert recorded.network.weight.grad is None


def test_every_place_of_blending_is_recorded_once():
    recorded = trainer(Recorder, mix="manifold_mixup")
    assert trained(recorded) == trained(trainer(mix="manifold_mixup"))
    assert recorded.recorder.recordings == recorded.network.places == 2
    assert recorded.recorder.replays == 2 * 20 - 5


CONVOLVED = {
    "dataset": {"kind": "digits", "per_class": 16},
    "batch_size": 16,
    "model": {"kind": "convnet", "width": 0.0625},
}
CROPS = {"dataset": {"kind": "digits", "per_class": 16, "augment": "crop_flip"}, "batch_size": 24, "mix": "mixup"}


@pytest.mark.parametrize("consumed", [0, 3])
def test_a_recording_that_fails_leaves_the_plain_training_and_says_so(caplog, consumed):
    """Whatever the step had drawn before it failed is drawn again."""

    def refusing():
        def recorder(function):
            torch.rand(consumed, generator=refused.draws.device)
            raise RuntimeError("operation not permitted when stream is capturing\nand much more")

        return recorder

    refused = trainer(refusing, **CROPS)
    with caplog.at_level(logging.WARNING):
        assert trained(refused) == trained(trainer(**CROPS))
    (said,) = caplog.messages
    assert said == ("Training goes on kernel by kernel: RuntimeError: operation not permitted when stream is capturing")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda made, function: None,
        lambda made, function: (torch.rand(3, generator=made.draws.device), function()),
        lambda made, function: (function(), function()),
        lambda made, function: (function(), made.sums.own.zero_()),
    ],
    ids=["does nothing", "draws otherwise", "goes twice", "forgets the sums"],
)
def test_a_recording_that_does_something_else_is_found_out(caplog, wrong):
    """The first replay is held against the step itself, which alone counts."""

    def mistaken():
        return lambda function: lambda: wrong(made, function)

    made = trainer(mistaken, **CROPS)
    with caplog.at_level(logging.WARNING):
        assert trained(made) == trained(trainer(**CROPS))
    (said,) = caplog.messages
    assert said.startswith("Training goes on kernel by kernel: ReplayError: a replayed step is off by ")


def test_too_little_memory_for_recordings_is_enough_for_the_plain_training(caplog):
    """With manifold mixup every place has its own, and the last may not fit."""

    def small():
        recorder = Recorder()

        def recorded(function):
            if recorder.recordings:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return recorder(function)

        return recorded

    with caplog.at_level(logging.WARNING):
        assert trained(trainer(small, mix="manifold_mixup")) == trained(trainer(mix="manifold_mixup"))
    assert "CUDA out of memory" in caplog.text


def test_too_little_memory_for_a_step_ends_the_run():
    def full(network):
        def forward(*_):
            raise torch.OutOfMemoryError("CUDA out of memory")

        return forward

    with pytest.raises(torch.OutOfMemoryError):
        trained(trainer(Recorder, full))


def test_a_compiled_network_trains_alike():
    torch.compiler.reset()
    compiled = trainer(Recorder, lambda network: torch.compile(network, dynamic=False, backend="aot_eager"))
    for one, other in zip(trained(compiled), trained(trainer()), strict=True):
        assert [m.value for m in one] == pytest.approx([m.value for m in other], rel=1e-5)


def test_without_a_compiler_the_network_is_recorded_as_it_is(caplog):
    def broken(graph, inputs):
        raise RuntimeError("Failed to find C compiler.")

    torch.compiler.reset()
    made = trainer(Recorder, lambda network: torch.compile(network, dynamic=False, backend=broken))
    with caplog.at_level(logging.WARNING):
        assert trained(made) == trained(trainer())
    (said,) = [m for m in caplog.messages if m.startswith("Training goes on ")]
    assert said.startswith("Training goes on without compiling: ")
    assert made.recorder.replays == 2 * 20 - 1 - 5  # one batch has found it out


def test_a_backward_pass_that_does_not_compile_has_moved_nothing(caplog):
    """By then its forward pass has been through batch normalisation."""

    def halfway(network):
        def forward(*inputs):
            network(*inputs)
            raise RuntimeError("the backward pass does not compile")

        return forward

    made, plain = trainer(Recorder, halfway, **CONVOLVED), trainer(**CONVOLVED)
    with caplog.at_level(logging.WARNING):
        assert trained(made) == trained(plain)
    assert list(made.network.buffers())
    assert all(torch.equal(b, c) for b, c in zip(made.network.buffers(), plain.network.buffers(), strict=True))
    assert made.recorder.replays > 0


@pytest.mark.parametrize("failing", ["recording", "replay"])
def test_a_compiled_network_that_cannot_be_recorded_is_given_up(caplog, failing):
    """With what is left of the recording nothing else is recorded; one that only replays otherwise has left nothing."""

    def refusing():
        def recorder(function):
            if failing == "recording":
                raise RuntimeError("no graphs here")
            return lambda: None

        return recorder

    torch.compiler.reset()
    made = trainer(refusing, lambda network: torch.compile(network, dynamic=False, backend="aot_eager"))
    with caplog.at_level(logging.WARNING):
        found, expected = trained(made), trained(trainer())
    assert [m.value for e in found for m in e] == pytest.approx([m.value for e in expected for m in e], rel=1e-5)
    said = [m.partition(":")[0] for m in caplog.messages if m.startswith("Training goes on ")]
    last = "Training goes on kernel by kernel"
    assert said == ([last] if failing == "recording" else ["Training goes on without compiling", last])


def test_a_step_that_cannot_be_compared_is_made_once(caplog, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    made = trainer(Recorder, **CROPS)
    monkeypatch.setattr(type(made.moving), "alike", full)
    with caplog.at_level(logging.WARNING):
        assert trained(made) == trained(trainer(**CROPS))
    (said,) = caplog.messages
    assert said.endswith("kernel by kernel: ReplayError: a replayed step cannot be compared: CUDA out of memory")


@pytest.mark.parametrize(
    ("fields", "device", "steps", "mode"),
    [
        ({}, "cpu", 10**6, "plain"),
        ({}, "cuda", 10**6, "compiled"),
        ({}, "cuda", 1000, "graph"),
        ({"deterministic": True}, "cuda", 10**6, "graph"),
        ({"mix": "manifold_mixup"}, "cuda", 10**6, "graph"),
        ({"compile": "off"}, "cuda", 10**6, "plain"),
    ],
)
def test_the_device_and_the_length_of_a_run_decide(fields, device, steps, mode):
    assert accelerate.mode(parse({**FIELDS, **fields}), torch.device(device), steps) == mode


def test_how_it_is_run_is_not_part_of_the_experiment():
    assert parse({**FIELDS, "compile": "off"}).key == parse(FIELDS).key


def test_a_trainer_goes_with_its_last_reference():
    """Not with the garbage collector's next visit: it holds the data and a device's memory."""
    made = trainer()
    trained(made)
    alive = weakref.ref(made)
    gc.disable()
    try:
        del made
        assert alive() is None
    finally:
        gc.enable()


@pytest.mark.gpu
@pytest.mark.parametrize("mix", ["none", "mixup"])
def test_on_a_gpu_graphs_give_the_plain_training(mix):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    fields = {**FIELDS, "device": "cuda", "deterministic": True, "mix": mix}
    auto, off = (list(run(parse({**fields, "compile": c}), home=HOME))[-1] for c in ("auto", "off"))
    for one, other in zip(auto.metrics, off.metrics, strict=True):
        assert (one.split, one.name) == (other.split, other.name)
        assert one.value == pytest.approx(other.value, rel=1e-4)
