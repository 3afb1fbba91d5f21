"""One run on several devices: `devices: n` gives the numbers of one device with the same batches.

Every test here trains with real processes that exchange gradients over gloo, on the CPU.
"""

import os
import signal
from copy import deepcopy

import pytest
import torch

from ncmix.results import Snapshot
from ncmix.spec import SpecError, parse
from ncmix.train import run

VECTORS = {"kind": "gaussian", "classes": 4, "dim": 12, "train_per_class": 21, "test_per_class": 9}
DIGITS = {"kind": "digits", "per_class": 12, "label_noise": 0.1}


def spec(devices=2, **fields):
    base = {
        "dataset": VECTORS,
        "model": {"kind": "mlp", "hidden": [16]},
        "mix": "mixup",
        "optimizer": {"kind": "sgd", "lr": 0.05},
        "epochs": 2,
        "batch_size": 16,
        "measure": {"epochs": [0, 2], "geometry": {"per_pair": 12, "lambdas": 5}},
        "device": "cpu",
        "devices": devices,
    }
    return parse({**base, **fields})


def snapshots(a_spec, **how):
    return [item for item in run(a_spec, **how) if isinstance(item, Snapshot)]


def assert_same(found, expected, tolerance=1e-5):
    assert [s.epoch for s in found] == [s.epoch for s in expected]
    for ours, theirs in zip(found, expected, strict=True):
        assert [(m.split, m.name) for m in ours.metrics] == [(m.split, m.name) for m in theirs.metrics]
        for one, other in zip(ours.metrics, theirs.metrics, strict=True):
            expected_value = other.value and pytest.approx(other.value, rel=tolerance, abs=tolerance)
            assert one.value == expected_value, (ours.epoch, one.name)
        for one, other in zip(ours.sets, theirs.sets, strict=True):
            for name, array in one.arrays.items():
                torch.testing.assert_close(
                    torch.tensor(array), torch.tensor(other.arrays[name]), rtol=2e-3, atol=2e-3, equal_nan=True
                )


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"mix": "regmixup", "optimizer": {"kind": "adamw", "lr": 1e-3}},
        {"mix": {"kind": "mixup", "lam": "per_sample", "pairs": "same_class"}, "loss": "mse"},
        {"dataset": DIGITS | {"augment": "crop_flip"}, "model": {"kind": "convnet", "width": 0.125}, "mix": "cutmix"},
        {
            "dataset": DIGITS,
            "model": {"kind": "resnet18", "width": 0.0625},
            # Gentle: at larger rates so small a network amplifies rounding, on one device as well.
            "optimizer": {"kind": "sgd", "lr": 1e-3},
            "epochs": 1,
            "measure": {"epochs": [1], "geometry": {"per_pair": 8, "lambdas": 3, "mode": "train"}},
        },
    ],
    ids=["vectors", "regmixup", "same_class", "cutmix", "batch_norm"],
)
def test_two_devices_give_the_numbers_of_one(fields):
    """84 or 120 samples in batches of 16: the last batch of an epoch is a smaller one, and shares need not be equal."""
    assert_same(snapshots(spec(2, **fields)), snapshots(spec(1, **fields)))


def test_shares_of_three_are_not_all_of_one_size():
    assert_same(snapshots(spec(3)), snapshots(spec(1)))


def test_a_run_goes_on_from_a_checkpoint_on_another_number_of_devices():
    expected = snapshots(spec(1))
    training = run(spec(2))
    first = [next(item for item in training if isinstance(item, Snapshot)) for _ in range(2)]
    checkpoint = deepcopy(training.checkpoint())
    training.close()
    assert checkpoint.epoch == 1
    rest = snapshots(spec(1), resume=deepcopy(checkpoint))
    assert_same([*first, *rest], expected)
    again = snapshots(spec(2), resume=checkpoint)
    assert_same([*first, *again], expected)


def followers(training):
    return training._trainer.ranks.followers


def test_who_stops_iterating_ends_all_processes():
    training = run(spec(2))
    next(training)
    (follower,) = followers(training)
    assert follower.poll() is None
    training.close()
    assert follower.returncode == -signal.SIGKILL


def test_the_death_of_a_process_is_a_sentence():
    training = run(spec(2, epochs=10_000, measure={"epochs": [0, 10_000], "geometry": None}))
    next(training)
    (follower,) = followers(training)
    os.kill(follower.pid, signal.SIGKILL)
    follower.wait(10)
    with pytest.raises(RuntimeError, match=r"has ended with status -9|closed by peer|reset by peer"):
        for _ in training:
            pass


def test_the_number_of_devices_is_no_part_of_the_science():
    assert spec(2).key == spec(1).key


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"devices": 17}, "17 cannot share a batch of 16; allowed are 1 to 16"),
        ({"loss": "supcon", "mix": "none"}, "supcon contrasts every sample with the whole batch"),
        ({"mix": "manifold_mixup"}, "manifold_mixup mixes within the network"),
    ],
)
def test_what_cannot_be_spread_is_refused(fields, said):
    with pytest.raises(SpecError, match=said):
        spec(**fields)


def test_a_last_batch_that_is_too_small_to_share_is_refused():
    with pytest.raises(RuntimeError, match="The last batch of an epoch has 2 samples, fewer than devices: 3"):
        snapshots(spec(3, batch_size=41, dataset=VECTORS))
