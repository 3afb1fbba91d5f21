"""Data sets: `datasets.load(spec, home, device, seed)` gives whole splits as tensors, and what normalises them."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ncmix import datasets
from ncmix.datahome import DataHome
from ncmix.datasets.raw import channel_statistics
from ncmix.spec import FACTS, Builtin, Gaussian, Imbalance, facts

CPU = torch.device("cpu")
NOWHERE = DataHome(Path("/nonexistent"))


def load(dataset, seed=0):
    return datasets.load(dataset, NOWHERE, CPU, seed)


def test_digits_are_real_pictures_and_need_no_files():
    digits = load(Builtin(kind="digits"))
    assert (len(digits.train), len(digits.test)) == (1442, 355)
    assert digits.shape == (1, 8, 8)
    assert (digits.train.x.dtype, digits.train.y.dtype) == (torch.uint8, torch.int64)
    assert (digits.train.x.min(), digits.train.x.max()) == (0, 16)
    assert digits.classes == tuple("0123456789")


def test_every_fifth_digit_of_a_class_is_for_testing():
    from sklearn.datasets import load_digits  # noqa: PLC0415 - slow to import

    published, digits = load_digits(), load(Builtin(kind="digits"))
    for label in range(10):
        images = torch.from_numpy(published.images[published.target == label]).to(torch.uint8)
        assert torch.equal(digits.test.x[digits.test.y == label][:, 0], images[4::5])
        rest = [i for i in range(len(images)) if i % 5 != 4]
        assert torch.equal(digits.train.x[digits.train.y == label][:, 0], images[rest])


def test_normalised_images_have_no_mean_and_unit_variance():
    digits = load(Builtin(kind="digits"))
    x_N = digits.normalize(digits.train.x)
    assert x_N.mean().item() == pytest.approx(0, abs=1e-5)
    assert x_N.std().item() == pytest.approx(1, abs=1e-4)


@given(st.integers(1, 5000), st.integers(1, 4), st.integers(0, 2**31))
def test_statistics_of_images_are_exact(count, channels, seed):
    x_N = torch.randint(256, (count, channels, 2, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
    mean, std = channel_statistics(x_N)
    wide = x_N.double()
    torch.testing.assert_close(mean.double(), wide.mean((0, 2, 3)), rtol=1e-7, atol=0)
    torch.testing.assert_close(std.double(), wide.std((0, 2, 3), correction=0), rtol=1e-6, atol=0)


def test_a_channel_without_contrast_stays_finite():
    mean, std = channel_statistics(torch.full((5, 2, 4, 4), 7, dtype=torch.uint8))
    assert (mean.tolist(), std.tolist()) == ([7, 7], [1, 1])


def test_gaussians_have_the_class_means_and_noise_that_were_asked_for():
    data = load(Gaussian(classes=4, dim=20, train_per_class=5000, test_per_class=3, separation=6.0))
    assert data.train.x.dtype == torch.float32
    assert data.shape == (20,)
    assert data.test.y.bincount().tolist() == [3] * 4
    for label in range(4):
        x_ND = data.train.x[data.train.y == label]
        assert x_ND.mean(0).norm().item() == pytest.approx(6, abs=0.1)
        assert (x_ND - x_ND.mean(0)).std().item() == pytest.approx(1, abs=0.02)
    assert data.normalize(data.train.x) is data.train.x


def test_gaussians_depend_on_their_draw_and_not_on_the_seed():
    first, again, other = load(Gaussian(), 0), load(Gaussian(), 1), load(Gaussian(draw=1), 0)
    assert torch.equal(first.train.x, again.train.x)
    assert not torch.equal(first.train.x, other.train.x)


def test_a_subset_has_so_many_of_every_class_and_the_old_statistics():
    whole, small = load(Builtin(kind="digits")), load(Builtin(kind="digits", per_class=20))
    assert small.train.y.bincount().tolist() == [20] * 10
    assert torch.equal(small.mean, whole.mean)
    assert torch.equal(small.std, whole.std)
    assert torch.equal(small.test.x, whole.test.x)


def test_subsets_of_one_seed_are_nested():
    def numbers(per_class, seed=0):
        whole = load(Gaussian(classes=3, dim=2, train_per_class=50))
        small = load(Gaussian(classes=3, dim=2, train_per_class=50, per_class=per_class), seed)
        return {whole.train.x.tolist().index(row) for row in small.train.x.tolist()}

    assert numbers(10) < numbers(20)
    assert numbers(10) != numbers(10, seed=1)


def test_imbalance_leaves_fewer_of_the_later_classes():
    dataset = Gaussian(classes=3, train_per_class=100, per_class=90, imbalance=Imbalance(kind="exponential", ratio=9))
    assert load(dataset).train.y.bincount().tolist() == [90, 30, 10]


@pytest.mark.parametrize(("share", "wrong"), [(0.0, 0), (0.1, 30), (0.5, 150), (1.0, 300)])
def test_label_noise_replaces_exactly_its_share_by_other_classes(share, wrong):
    def labels(label_noise, seed=0):
        return load(Gaussian(classes=3, train_per_class=100, label_noise=label_noise), seed).train.y

    clean = labels(0.0)
    assert (labels(share) != clean).sum() == wrong
    assert torch.equal(labels(share), labels(share))
    assert set(labels(share).tolist()) == {0, 1, 2}


def test_noisier_labels_contain_the_less_noisy_and_all_wrong_classes_occur():
    def labels(label_noise):
        return load(Gaussian(classes=4, train_per_class=300, label_noise=label_noise)).train.y

    few, many, clean = labels(0.1), labels(0.4), labels(0.0)
    assert torch.equal(few[few != clean], many[few != clean])
    shift = (labels(1.0) - clean) % 4
    assert (shift.bincount()[1:] - 400).abs().max() < 5 * 20


def test_test_labels_stay_clean():
    assert torch.equal(load(Gaussian(label_noise=0.5)).test.y, load(Gaussian()).test.y)


@pytest.mark.parametrize(
    ("kind", "classes", "train", "test", "smallest", "shape"),
    [
        ("kmnist", 10, 60_000, 10_000, 6_000, (1, 28, 28)),
        ("stl10", 10, 5_000, 8_000, 500, (3, 96, 96)),
        ("tiny_imagenet", 200, 100_000, 10_000, 500, (3, 64, 64)),
        ("imagenet", 1_000, 1_281_167, 50_000, 732, (3, 224, 224)),
    ],
)
def test_facts_are_the_published_ones(kind, classes, train, test, smallest, shape):
    known = FACTS[kind]
    assert (known.classes, known.train, known.test, known.smallest, known.shape) == (
        classes,
        train,
        test,
        smallest,
        shape,
    )


def test_digits_in_another_size_are_as_the_facts_say():
    dataset = Builtin(kind="digits", image_size=32)
    digits, known = load(dataset), facts(dataset)
    assert known is not None
    assert digits.shape == known.shape == (1, 32, 32)
    assert len(digits.train) == known.train
    assert digits.train.x.float().mean().item() == pytest.approx(
        load(Builtin(kind="digits")).train.x.float().mean().item(), rel=0.02
    )
