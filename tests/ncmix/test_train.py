"""The trainer as a whole: what it yields, that its numbers repeat, and an exact oracle for all of its parts at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ncmix.datahome import DataHome
from ncmix.datasets.base import DataError
from ncmix.mix import one_hot
from ncmix.models import Blend
from ncmix.numerics import DeviceError
from ncmix.results import Snapshot, Tick
from ncmix.spec import VOCABULARY, Spec, parse
from ncmix.train import Trainer, run
from tests.waiting import Waiting

BASE: dict[str, Any] = {
    "dataset": {"kind": "gaussian", "classes": 4, "dim": 8, "train_per_class": 40, "test_per_class": 10},
    "model": {"kind": "mlp", "hidden": [16]},
    "optimizer": {"kind": "sgd", "lr": 0.05},
    "epochs": 3,
    "batch_size": 32,
    "measure": {"epochs": [0, 1, 3], "geometry": {"per_pair": 8, "lambdas": 5}},
    "device": "cpu",
}
HOME = DataHome(Path("unused"))

# As many batches an epoch as BASE: 160 images in five.
PICTURES: dict[str, Any] = {"dataset": {"kind": "digits", "per_class": 16}}


def spec(**fields: Any) -> Spec:
    return parse({**BASE, **fields})


def snapshots(wanted: Spec) -> list[Snapshot]:
    return [event for event in run(wanted, home=HOME) if isinstance(event, Snapshot)]


def metrics(wanted: Spec) -> dict[tuple[int, str, str], float | None]:
    return {(s.epoch, m.split, m.name): m.value for s in snapshots(wanted) for m in s.metrics}


def test_a_snapshot_an_epoch_with_ticks_before_it() -> None:
    events = list(run(spec(), home=HOME))
    assert [e.epoch for e in events if isinstance(e, Snapshot)] == [0, 1, 2, 3]
    last_of_one = [e for e in events if isinstance(e, Tick) and e.epoch == 1][-1]
    assert last_of_one == Tick(1, step=5, steps=5)
    untrained, first, unmeasured, _ = (e for e in events if isinstance(e, Snapshot))
    assert {m.split for m in untrained.metrics} == {"train", "test"}
    assert {m.split for m in first.metrics} == {"running", "train", "test"}
    assert {m.name for m in unmeasured.metrics} == {"loss", "accuracy", "lr"}


# s = Σ_k w_k knows neither data nor network (s ← s − ηv with v ← βv + ωs), so nc0 after any number of steps is known.
@pytest.mark.parametrize("mix", ["none", "mixup", "manifold_mixup", "cutmix", "regmixup", "label_only"])
@pytest.mark.parametrize("decoupled", [False, True])
@pytest.mark.parametrize("loss", ["cross_entropy", {"kind": "cross_entropy", "label_smoothing": 0.05}, "focal", "mae"])
def test_nc0_follows_its_recursion(mix: str, decoupled: bool, loss: str | dict[str, Any]) -> None:
    lr, beta, omega, steps = 0.05, 0.9, 0.05, 5
    found = metrics(
        spec(
            **(PICTURES if mix == "cutmix" else {}),
            mix=mix,
            loss=loss,
            optimizer={"kind": "sgd", "lr": lr, "momentum": beta, "weight_decay": omega, "decoupled": decoupled},
            schedule={"kind": "multistep", "milestones": [2], "gamma": 0.1},
        )
    )
    s, v, known = 1.0, 0.0, {0: 1.0}
    for epoch in (1, 2, 3):
        rate = lr if epoch <= 2 else lr * 0.1
        for _ in range(steps):
            v = beta * v + (0.0 if decoupled else omega * s)
            s = (1 - rate * omega) * s - rate * v if decoupled else s - rate * v
        known[epoch] = s
    start = found[0, "train", "nc0"]
    assert start is not None
    for epoch in (1, 3):
        assert found[epoch, "train", "nc0"] == pytest.approx(abs(known[epoch]) * start, abs=1e-5)


def test_nc0_leaves_the_recursion_with_mse() -> None:
    found = metrics(spec(loss="mse", optimizer={"kind": "sgd", "lr": 0.05, "weight_decay": 0.0}))
    start, end = found[0, "train", "nc0"], found[3, "train", "nc0"]
    assert start is not None
    assert end is not None
    assert abs(end - start) > 1e-3


def test_mixup_trains_on_mixed_inputs_and_targets_of_one_lambda() -> None:
    trainer = Trainer(spec(mix="mixup", batch_size=160), torch.device("cpu"), HOME)
    seen: list[torch.Tensor] = []
    trainer.network.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    targets: list[torch.Tensor] = []
    plain = trainer.loss
    trainer.loss = lambda outputs, y: (targets.append(y), plain(outputs, y))[1]
    trainer.begin(1)
    trainer.advance(60.0)
    x_BD, y_BK, data_ND = seen[0], targets[0], trainer.data.train.x
    lam = y_BK.max(1).values.min().item()
    assert 0.5 < lam < 1.0
    for x_D, y_K in zip(x_BD[:20], y_BK[:20], strict=True):
        # The one pair of training rows whose λ-combination is this input has these two classes, in this order.
        gap = lam * data_ND[:, None] + (1 - lam) * data_ND[None] - x_D
        i, j = np.unravel_index(int(gap.square().sum(-1).argmin()), (160, 160))
        assert gap[i, j].abs().max() < 1e-4
        expected = torch.zeros(4).scatter_add_(0, trainer.data.train.y[[i, j]], torch.tensor([lam, 1 - lam]))
        torch.testing.assert_close(y_K, expected, atol=1e-5, rtol=0)


def test_manifold_mixup_mixes_at_a_random_place_and_the_targets_alike() -> None:
    deep = {"kind": "mlp", "hidden": [16, 16]}
    trainer = Trainer(spec(model=deep, mix="manifold_mixup", batch_size=16), torch.device("cpu"), HOME)
    blends, targets, inputs = list[Blend](), list[torch.Tensor](), list[torch.Tensor]()

    def watch(_: torch.nn.Module, args: tuple[torch.Tensor, Blend]) -> None:
        inputs.append(args[0])
        blends.append(args[1])

    trainer.network.register_forward_pre_hook(watch)
    plain = trainer.loss
    trainer.loss = lambda outputs, y: (targets.append(y), plain(outputs, y))[1]
    for epoch in (1, 2, 3):
        trainer.begin(epoch)
        while trainer.step < trainer.steps:
            trainer.advance(60.0)
    assert {blend.place for blend in blends} == set(range(trainer.network.places))
    assert trainer.network.places > 1
    data_ND, y_N = trainer.data.train.x, trainer.data.train.y
    for blend, x_BD, y_BK in zip(blends, inputs, targets, strict=True):
        row_B = (x_BD[:, None] == data_ND[None]).all(2).int().argmax(1)  # the inputs themselves come clean
        assert torch.equal(data_ND[row_B], x_BD)
        torch.testing.assert_close(blend.apply(one_hot(y_N[row_B], 4)), y_BK)


@pytest.mark.parametrize("mix", ["none", "mixup", "manifold_mixup", "regmixup"])
def test_same_spec_and_seed_same_bits(mix: str) -> None:
    assert metrics(spec(mix=mix)) == metrics(spec(mix=mix))


def test_another_seed_other_numbers() -> None:
    one, other = metrics(spec()), metrics(spec(seed=1))
    assert one.keys() == other.keys()
    assert one[3, "train", "nc1"] != other[3, "train", "nc1"]


@pytest.mark.parametrize(
    "objective",
    [
        *({"loss": loss} for loss in VOCABULARY["loss"] if loss != "dot_regression"),
        *({"mix": m} for m in VOCABULARY["mix"]),
    ],
    ids=str,
)
def test_an_epoch_never_waits_for_the_device(objective: dict[str, str]) -> None:
    crops = {"kind": "digits", "per_class": 16, "augment": "crop_flip"}
    trainer = Trainer(spec(dataset=crops, **objective), torch.device("cpu"), HOME)
    trainer.begin(1)
    with Waiting():
        while trainer.step < trainer.steps:
            trainer.advance(60.0)


def test_measuring_does_not_move_the_training() -> None:
    picture = {"dataset": "digits", "model": {"kind": "convnet", "width": 0.125}, "mix": "mixup", "epochs": 2}
    often = {"epochs": [0, 1, 2], "geometry": {"per_pair": 4, "lambdas": 5, "mode": "train"}}
    watched = metrics(spec(**picture, measure=often))
    unwatched = metrics(spec(**picture, measure={"epochs": [2], "geometry": None}))
    assert all(watched[row] == value for row, value in unwatched.items())


def test_two_runs_in_turn_do_not_disturb_each_other() -> None:
    alone = metrics(spec())
    pairs = zip(run(spec(), home=HOME), run(spec(seed=1), home=HOME), strict=False)
    woven = [event for event, _ in pairs if isinstance(event, Snapshot)]
    assert {(s.epoch, m.split, m.name): m.value for s in woven for m in s.metrics} == alone


def test_supcon_gathers_the_features_and_leaves_the_classifier_alone() -> None:
    """The clean loss is that of batches like the training's, although these data are sorted by class."""
    found = metrics(spec(loss="supcon", epochs=20, measure={"epochs": [0, 20]}))
    start, end = ({name: found[epoch, "train", name] or 0.0 for name in ("nc1", "loss", "nc0")} for epoch in (0, 20))
    assert end["nc1"] < 0.5 * start["nc1"]
    assert end["loss"] == pytest.approx(found[20, "running", "loss"], rel=0.05)
    assert end["nc0"] == start["nc0"]


@pytest.mark.parametrize("mix", ["none", "mixup"])
def test_dot_regression_turns_the_features_towards_the_fixed_rows(mix: str) -> None:
    found = metrics(spec(loss="dot_regression", head="etf", mix=mix, epochs=20, measure={"epochs": [0, 20]}))
    start, end = (
        {name: found[epoch, "train", name] or 0.0 for name in ("loss", "accuracy", "nc3")} for epoch in (0, 20)
    )
    assert end["loss"] < 0.5 * start["loss"]
    assert end["accuracy"] > 0.9
    assert end["nc3"] < 0.5 * start["nc3"]


def test_a_diverging_run_says_so() -> None:
    with pytest.raises(FloatingPointError, match=r"loss of epoch \d is (nan|inf).*optimizer\.lr"):
        snapshots(spec(loss="mse", optimizer={"kind": "sgd", "lr": 1e6}))


def test_a_batch_of_one_is_left_out() -> None:
    small = {"kind": "gaussian", "classes": 3, "dim": 4, "train_per_class": 11, "test_per_class": 2}
    trainer = Trainer(spec(dataset=small, batch_size=16), torch.device("cpu"), HOME)
    assert trainer.steps == 2  # 33 samples: 16, 16 and one that has no batch statistics


@pytest.mark.parametrize(("keep", "kept"), [("none", []), ("last", [3]), ("measured", [0, 1, 3])])
def test_features_are_kept_as_asked(keep: str, kept: list[int]) -> None:
    found = snapshots(spec(features={"keep": keep, "max_per_class": 7, "dtype": "float16"}))
    sets = {(s.epoch, a.name): a for s in found for a in s.sets}
    assert sorted(e for e, name in sets if name == "train") == kept
    assert sorted(e for e, name in sets if name == "geometry") == [0, 1, 3]
    for (_, name), a in sets.items():
        if name == "train":
            assert a.arrays["H"].shape == (28, 16)
            assert a.arrays["H"].dtype == np.float16
            assert np.bincount(a.arrays["y"]).tolist() == [7, 7, 7, 7]
        if name == "classifier":
            assert a.arrays["W"].shape == (4, 16)


def test_only_what_was_asked_for_is_measured() -> None:
    found = metrics(spec(measure={"epochs": "last", "splits": ["test"], "geometry": None}))
    assert {split for epoch, split, _ in found if epoch == 3} == {"running", "test"}
    assert not any(name.startswith("mix_") for *_, name in found)
    both = metrics(spec(measure={"epochs": "last", "geometry": None}))
    assert found[3, "test", "nc4"] == both[3, "test", "nc4"]


@pytest.mark.parametrize(
    "fields",
    [
        {"precision": "bf16"},
        {"deterministic": True},
        {"loss": {"kind": "mse", "scale": 15.0}, "mix": "mixup", "optimizer": {"kind": "sgd", "lr": 1e-4}},
        {"loss": {"kind": "rescaled_mse", "kappa": 5.0, "margin": 3.0}, "mix": "mixup"},
        {"loss": "squentropy", "mix": {"kind": "regmixup", "lam": "per_sample"}},
        {"loss": "bce", "mix": {"kind": "manifold_mixup", "lam": "per_sample"}, "precision": "bf16"},
        {"loss": {"kind": "mae", "kappa": 4.0}, "mix": "label_only"},
        {"loss": {"kind": "smooth_l1", "beta": 0.5}, "mix": {"kind": "cutmix", "lam": "per_sample"}, **PICTURES},
        {"loss": "focal", "mix": "manifold_mixup", "model": {"kind": "convnet", "width": 0.125}, **PICTURES},
        {"optimizer": "adam", "schedule": {"kind": "cosine", "warmup_epochs": 1}},
        {"optimizer": "adamw", "schedule": "constant", "mix": {"kind": "mixup", "lam": "per_sample"}},
        {"dataset": {"kind": "gaussian", "imbalance": {"kind": "step", "ratio": 10.0}, "label_noise": 0.1}},
        {"dataset": {"kind": "digits", "augment": "crop_flip"}, "model": {"kind": "convnet", "width": 0.125}},
        {"dataset": {"kind": "digits", "per_class": 16}, "model": {"kind": "resnet18", "width": 0.0625}, "epochs": 1,
         "measure": {"epochs": "last"}},
    ],
)  # fmt: skip
def test_every_knob_trains(fields: dict[str, Any]) -> None:
    found = metrics(spec(**fields))
    last = max(epoch for epoch, *_ in found)
    assert found[last, "train", "nc1"] is not None
    assert found[last, "running", "loss"] is not None


def test_relaxed_measuring_says_so() -> None:
    found = snapshots(spec(measure={"epochs": "last", "precision": "bf16"}))[-1]
    notes = {m.note for m in found.metrics if m.split == "train" and m.name == "nc1"}
    assert notes == {"features in bf16"}


def test_what_cannot_be_is_a_sentence() -> None:
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match=r"'cuda' was asked for, but PyTorch sees no GPU here \(.+\);"):
            next(run(spec(device="cuda"), home=HOME))
    with pytest.raises(DataError, match="pets"):
        next(run(spec(dataset={"kind": "image_folder", "name": "pets"}), home=HOME))
