"""Published networks are what was published: their numbers of parameters, their arithmetic, how they start."""

import math

import pytest
import torch
import torchvision
from torch import nn

from ncmix import models
from ncmix.spec import DenseNet, PreActResNet18, ResNet9, ResNet18, ResNet34, ResNet50, Vgg, Vit, WideResNet
from tests.ncmix.models.zoo import inputs, network


def parameters(model, shape=(3, 32, 32), classes=10):
    """Of body and linear classifier, without making a single one."""
    with torch.device("meta"):
        body = models.MODELS[model.kind](model, shape)
    return sum(p.numel() for p in body.parameters()) + (model.feature_dim + 1) * classes


# Exact numbers, for ten classes on 32×32 where nothing else is said.
@pytest.mark.parametrize(
    ("model", "published"),
    [
        # Page 2018, "How to Train Your ResNet": 6,573,120, and ten for the bias that his classifier lacks.
        (ResNet9(), 6_573_120 + 10),
        # torchvision's, less the 7×7 stem and 1,000 classes (9,408 and 1000·(D + 1)), plus ours (1,728 and 10·(D + 1)).
        (ResNet18(), 11_689_512 - 9_408 - 513_000 + 1_728 + 5_130),
        (ResNet34(), 21_797_672 - 9_408 - 513_000 + 1_728 + 5_130),
        (ResNet50(), 25_557_032 - 9_408 - 2_049_000 + 1_728 + 20_490),
        # The network of Zhang et al. 2018 (facebookresearch/mixup-cifar10) has 11,171,146. It lacks the normalisation
        # after the last block, 2·512, which He et al. 2016b have.
        (PreActResNet18(), 11_171_146 + 1_024),
        # torchvision's, less three hidden layers (25,088 → 4,096 → 4,096 → 1,000), plus ours (512 → 10).
        (Vgg(kind="vgg11_bn"), 132_868_840 - 123_642_856 + 5_130),
        (Vgg(kind="vgg13_bn"), 133_053_736 - 123_642_856 + 5_130),
        (Vgg(kind="vgg16_bn"), 138_365_992 - 123_642_856 + 5_130),
        (Vgg(kind="vgg19_bn"), 143_678_248 - 123_642_856 + 5_130),
    ],
    ids=lambda v: getattr(v, "kind", None),
)
def test_every_parameter_is_there(model, published):
    assert parameters(model) == published


# Millions as the papers' tables print them, to the last digit printed.
@pytest.mark.parametrize(
    ("model", "millions"),
    [
        # Zagoruyko & Komodakis 2016, tables 4 and 5; WRN-40-10 as in Fisher, Meng, Papyan 2024.
        (WideResNet(depth=40, width=1), "0.6"),
        (WideResNet(depth=40, width=2), "2.2"),
        (WideResNet(depth=40, width=4), "8.9"),
        (WideResNet(depth=16, width=8), "11.0"),
        (WideResNet(depth=28, width=10), "36.5"),
        (WideResNet(depth=40, width=10), "55.8"),
        # Huang et al. 2017, table 2.
        (DenseNet(depth=100, growth=12), "0.8"),
        (DenseNet(depth=250, growth=24), "15.3"),
        (DenseNet(depth=190, growth=40), "25.6"),
    ],
    ids=lambda v: getattr(v, "kind", None),
)
def test_as_large_as_the_paper_says(model, millions):
    assert f"{parameters(model) / 1e6:.1f}" == millions


@pytest.mark.parametrize(
    ("dim", "heads", "published"), [(192, 3, 5_717_416), (384, 6, 22_050_664), (768, 12, 86_567_656)]
)
def test_vit_of_imagenet(dim, heads, published):
    """ViT-Ti/16, S/16 and B/16 with 1,000 classes: 5.7, 22.1 and 86.6 million (Dosovitskiy 2021; Touvron 2021)."""
    assert parameters(Vit(patch=16, depth=12, dim=dim, heads=heads), (3, 224, 224), 1000) == published


def _resnet(make):
    theirs = make(num_classes=10)
    theirs.conv1, theirs.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()
    return theirs


def _vgg(make):
    theirs = make(init_weights=False)
    theirs.avgpool, theirs.classifier = nn.AdaptiveAvgPool2d(1), nn.Linear(512, 10)
    return theirs


def _densenet():
    theirs = torchvision.models.DenseNet(12, (4, 4, 4), num_init_features=24, num_classes=10)
    for name in ("norm0", "relu0", "pool0"):
        theirs.features.set_submodule(name, nn.Identity())
    theirs.features.conv0 = nn.Conv2d(3, 24, 3, padding=1, bias=False)
    return theirs


def _vit():
    return torchvision.models.VisionTransformer(32, 4, 3, 6, 96, 384, num_classes=10)


@pytest.mark.parametrize(
    ("model", "theirs"),
    [
        (ResNet18(), lambda: _resnet(torchvision.models.resnet18)),
        (ResNet34(), lambda: _resnet(torchvision.models.resnet34)),
        (ResNet50(), lambda: _resnet(torchvision.models.resnet50)),
        (Vgg(kind="vgg11_bn"), lambda: _vgg(torchvision.models.vgg11_bn)),
        (Vgg(kind="vgg16_bn"), lambda: _vgg(torchvision.models.vgg16_bn)),
        (DenseNet(depth=28, growth=12), _densenet),
        (Vit(depth=3, dim=96, heads=6), _vit),
    ],
    ids=lambda v: getattr(v, "kind", ""),
)
def test_the_same_arithmetic_as_torchvision(model, theirs):
    """Given its weights, and there the stem for small images, the logits are torchvision's."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        reference = theirs().eval()
        with torch.no_grad():
            for p in reference.parameters():  # Some start at zero or one, and would prove nothing.
                p.add_(torch.randn_like(p), alpha=0.02)
    ours = network(model, (3, 32, 32)).eval()
    names = list(ours.state_dict())
    if model.kind == "vit":  # The position embedding comes behind the patches there.
        names.insert(3, names.pop(1))
    ours.load_state_dict(dict(zip(names, reference.state_dict().values(), strict=True)))
    x_B = inputs((3, 32, 32), count=2)
    with torch.no_grad():
        z_BK, expected_BK = ours(x_B)[1], reference(x_B)
    spread = (expected_BK[0] - expected_BK[1]).abs().max().item()
    assert spread > 1e-3
    torch.testing.assert_close(z_BK, expected_BK, rtol=0, atol=1e-4 * spread)


@pytest.mark.parametrize("model", [PreActResNet18(width=0.125), WideResNet(depth=16, width=1)], ids=lambda m: m.kind)
def test_a_pre_activated_block_that_adds_nothing_is_the_identity(model):
    """A clean path leads through: no ReLU follows the sum (He et al. 2016b)."""
    _, block = network(model, (3, 8, 8)).body.stages[1]
    nn.init.zeros_(block.conv2.weight)
    x_B = inputs((block.conv1.in_channels, 4, 4))
    assert torch.equal(block(x_B), x_B)


@pytest.mark.parametrize(
    ("model", "channels"),
    [(ResNet18(width=0.5), 256), (WideResNet(depth=10, width=4), 256), (Vgg(kind="vgg11_bn"), 512)],
)
def test_convolutions_start_as_he_et_al_do(model, channels):
    """Normal weights of variance 2 / (9 · channels out) in the 3×3 convolutions."""
    net = network(model, (3, 32, 32))
    widest = [m for m in net.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)][-1]
    assert widest.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * channels)), rel=0.01)


def test_vit_starts_as_published():
    """Xavier uniform in the linear maps, standard deviation 0.02 in the positions, 0 in the class token."""
    embedding, block = network(Vit(dim=96, heads=6), (3, 32, 32)).body.stages[0]
    assert block.attention.read.weight.abs().max().item() == pytest.approx(math.sqrt(6 / (96 + 96)), rel=0.01)
    assert embedding.position.std().item() == pytest.approx(0.02, rel=0.05)
    assert not embedding.token.any()


def test_vit_reads_patches_that_stick_out_as_filled_with_zeros():
    model, x_B = Vit(depth=1, dim=8, heads=1), inputs((1, 10, 7))
    small, large = network(model, (1, 10, 7)), network(model, (1, 12, 8))
    torch.testing.assert_close(small(x_B)[0], large(nn.functional.pad(x_B, (0, 1, 0, 2)))[0])
