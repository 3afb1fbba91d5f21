"""Data that do not fit the device: streamed from a mapped cache they give, bit for bit, what resident data give."""

import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ncmix import datasets, memory
from ncmix.datahome import DataHome, DataHomeError
from ncmix.datasets import Whole
from ncmix.datasets.streamed import Streamed
from ncmix.results import Snapshot
from ncmix.spec import parse
from ncmix.train import Trainer, run

CPU = torch.device("cpu")

# Everything that can touch the order, the rows or the labels of data, and everything that reads them.
PETS = {
    "dataset": {
        "kind": "image_folder", "name": "pets", "augment": "crop_flip", "per_class": 18, "label_noise": 0.2,
        "imbalance": {"kind": "exponential", "ratio": 2.0},
    },
    "model": {"kind": "convnet", "width": 0.0625}, "mix": "mixup", "epochs": 2, "batch_size": 8,
    "optimizer": {"kind": "sgd", "lr": 0.05}, "device": "cpu", "features": {"keep": "measured"},
    "measure": {"epochs": [0, 1, 2], "geometry": {"per_pair": 6, "lambdas": 3, "mode": "train"}},
}  # fmt: skip


@pytest.fixture
def home(tmp_path):
    """Twenty pictures of three classes to train on, four to test."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 4)):
        for label, name in enumerate(("cat", "dog", "eel")):
            (tmp_path / "pets" / split / name).mkdir(parents=True)
            for i in range(count):
                pixels = generator.integers(40 * label, 40 * label + 100, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "pets" / split / name / f"{i:02}.png")
    return DataHome(tmp_path / "data", {"pets": tmp_path / "pets"})


def streaming(home):
    return replace(home, resident_bytes=0)


def workers():
    return [t for t in threading.enumerate() if t.name.startswith("ncmix-batches")]


@pytest.mark.parametrize(
    "fields", [PETS, {**PETS, "dataset": {"kind": "digits", "per_class": 30}}], ids=["mapped", "host"]
)
def test_a_run_is_the_same_streamed_or_resident(home, fields):
    spec = parse(fields)
    resident, streamed = (
        [event for event in run(spec, home=h) if isinstance(event, Snapshot)] for h in (home, streaming(home))
    )
    assert [s.metrics for s in streamed] == [s.metrics for s in resident]
    for one, other in zip(streamed, resident, strict=True):
        assert [a.name for a in one.sets] == [a.name for a in other.sets]
        for a, b in zip(one.sets, other.sets, strict=True):
            assert all(a.arrays[name].tobytes() == b.arrays[name].tobytes() for name in b.arrays)


def test_the_batches_of_an_epoch_are_the_same(home):
    spec = parse(PETS)
    resident, streamed = (Trainer(spec, CPU, h) for h in (home, streaming(home)))
    assert isinstance(resident.data.train, Whole)
    assert isinstance(streamed.data.train, Streamed)
    for epoch in (1, 2):
        resident.begin(epoch)
        streamed.begin(epoch)
        pairs = list(zip(streamed.batches, resident.batches, strict=True))
        assert len(pairs) == resident.steps
        assert all(torch.equal(s, r) for one, other in pairs for s, r in zip(one, other, strict=True))
        resident.batches = streamed.batches = iter(())


def test_streamed_pictures_stay_in_their_file(home):
    data = Trainer(parse(PETS), CPU, streaming(home)).data
    (file,) = (home.root / "cache").glob("pets-*.npy")
    assert isinstance(data.train, Streamed)
    # No copy: a change in the file is seen.
    first = data.train.rows(torch.tensor([0])).clone()
    row = int(data.train.kept[0])
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size - (72 - row) * 192)
        opened.write(bytes(192))
    assert first.any()
    assert not data.train.rows(torch.tensor([0])).any()


@pytest.mark.parametrize("kept", [None, torch.tensor([3, 4, 7, 11, 12, 29])], ids=["all", "subset"])
@pytest.mark.parametrize("size", [1, 4, 6, 100])
def test_rows_and_batches_are_those_of_whole_data(kept, size):
    x_N = torch.randint(256, (30, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    y_N = torch.arange(30) if kept is None else kept
    whole = Whole(x_N if kept is None else x_N[kept], y_N)
    streamed = Streamed(x_N, kept, y_N, CPU)
    assert (len(streamed), streamed.shape) == (len(whole), whole.shape)
    order_N = torch.randperm(len(whole), generator=torch.Generator().manual_seed(1))
    assert torch.equal(streamed.rows(order_N[:5]), whole.rows(order_N[:5]))
    for order in (None, order_N, order_N[:0], order_N[2:5]):
        pairs = list(zip(streamed.batches(size, order), whole.batches(size, order), strict=True))
        assert all(torch.equal(s, w) for one, other in pairs for s, w in zip(one, other, strict=True))
        assert sum(len(y_B) for _, (_, y_B) in pairs) == len(whole if order is None else order)
    assert workers() == []


def test_who_stops_in_the_middle_leaves_no_thread():
    batches = Streamed(torch.zeros(100, 2), None, torch.zeros(100, dtype=torch.int64), CPU).batches(2)
    next(batches)
    assert workers()
    batches.close()
    assert workers() == []


def test_what_a_worker_meets_reaches_the_trainer():
    broken = Streamed(torch.zeros(4, 2), torch.tensor([0, 1, 2, 9]), torch.zeros(4, dtype=torch.int64), CPU)
    with pytest.raises(IndexError, match="out of range"):
        list(broken.batches(2))
    assert workers() == []


@pytest.mark.parametrize(("free", "streamed"), [(10**9, False), (2 * 72 * 192, False), (2 * 72 * 192 - 1, True)])
def test_what_fits_half_of_the_free_memory_is_resident(home, monkeypatch, free, streamed):
    monkeypatch.setattr(memory, "available", lambda: free)
    data = datasets.load(parse({**PETS, "dataset": {"kind": "image_folder", "name": "pets"}}).dataset, home, CPU, 0)
    assert isinstance(data.train, Streamed) is isinstance(data.test, Streamed) is streamed


def test_a_small_subset_of_large_data_is_resident(home):
    fields = {"kind": "image_folder", "name": "pets", "per_class": 2}
    data = datasets.load(parse({**PETS, "dataset": fields}).dataset, replace(home, resident_bytes=18 * 192), CPU, 0)
    assert isinstance(data.train, Whole)
    assert len(data.train) == 6


def test_the_operator_says_how_much_is_resident(tmp_path):
    assert DataHome.from_environment({}).resident_bytes is None
    assert DataHome.from_environment({"NCMIX_RESIDENT_BYTES": "0"}).resident_bytes == 0
    for wrong in ("-1", "2 GB", "1e9"):
        with pytest.raises(DataHomeError, match=f"NCMIX_RESIDENT_BYTES: '{wrong}' is not a whole number of bytes"):
            DataHome.from_environment({"NCMIX_RESIDENT_BYTES": wrong})


@pytest.mark.gpu
def test_a_run_on_a_gpu_is_the_same_streamed_or_resident(home):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    spec = parse({**PETS, "device": "cuda", "deterministic": True})
    resident, streamed = (
        [event.metrics for event in run(spec, home=h) if isinstance(event, Snapshot)] for h in (home, streaming(home))
    )
    assert streamed == resident
