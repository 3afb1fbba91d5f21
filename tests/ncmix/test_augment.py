"""Augmentation: `augment.build(dataset)(x, generator)` gives a batch of random variants on the same device."""

import pytest
import torch
from torch.nn.functional import pad
from torch.utils._python_dispatch import TorchDispatchMode

from ncmix import augment
from ncmix.spec import Builtin, Gaussian

CROP_FLIP = augment.build(Builtin(kind="cifar10", augment="crop_flip"))


def pictures(count, channels, height, width):
    generator = torch.Generator().manual_seed(1)
    return torch.randint(1, 256, (count, channels, height, width), dtype=torch.uint8, generator=generator)


def variants(picture):
    """Every crop of one zero-padded picture, and their mirror images: what He et al. 2016 draw from."""
    _, height, width = picture.shape
    padded = pad(picture, (width // 8,) * 2 + (height // 8,) * 2)
    crops = [
        padded[:, top : top + height, left : left + width]
        for top in range(2 * (height // 8) + 1)
        for left in range(2 * (width // 8) + 1)
    ]
    return [v for crop in crops for v in (crop, crop.flip(-1))]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 8, 8), (3, 16, 24), (1, 28, 28)], ids=str)
def test_each_picture_becomes_one_of_its_crops(shape):
    x_B = pictures(12, *shape)
    changed_B = CROP_FLIP(x_B, torch.Generator().manual_seed(0))
    assert changed_B.dtype == torch.uint8
    assert changed_B.shape == x_B.shape
    assert all(any(torch.equal(c, v) for v in variants(x)) for x, c in zip(x_B, changed_B, strict=True))


def test_all_crops_and_mirror_images_occur_equally_often():
    x = pictures(1, 1, 8, 8)
    count = 18 * 400
    changed_B = CROP_FLIP(x.expand(count, -1, -1, -1), torch.Generator().manual_seed(0))
    occurrences = torch.tensor([(changed_B == v).flatten(1).all(1).sum().item() for v in variants(x[0])])
    assert occurrences.sum() == count
    assert ((occurrences - 400).abs() < 5 * 20).all()


def test_the_generator_decides():
    x_B = pictures(16, 3, 16, 16)
    first, again, other = (CROP_FLIP(x_B, torch.Generator().manual_seed(s)) for s in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("dataset", [Builtin(kind="digits"), Gaussian()], ids=lambda d: d.kind)
def test_no_augmentation_is_the_batch_itself(dataset):
    x_B = pictures(2, 1, 8, 8)
    assert augment.build(dataset)(x_B, torch.Generator()) is x_B


class Waiting(TorchDispatchMode):
    """Refuses the operations for which the host would have to wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in ("_local_scalar_dense", "nonzero"), func
        return func(*args, **(kwargs or {}))


def test_augmentation_never_waits_for_the_device():
    x_B, generator = pictures(4, 3, 8, 8), torch.Generator()
    with Waiting():
        CROP_FLIP(x_B, generator)
