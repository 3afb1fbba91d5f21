"""One narrow network of every kind for the tests of models."""

import torch

from ncmix import models
from ncmix.spec import (
    VOCABULARY,
    ConvNet,
    DenseNet,
    LinearHead,
    Mlp,
    PreActResNet18,
    ResNet9,
    ResNet18,
    ResNet34,
    ResNet50,
    Timm,
    Vgg,
    Vit,
    WideResNet,
)

SMALL = [
    Mlp(hidden=(24, 16)),
    ConvNet(width=0.25),
    ResNet9(width=0.125),
    ResNet18(width=0.125),
    ResNet34(width=0.0625),
    ResNet50(width=0.0625),
    PreActResNet18(width=0.125),
    WideResNet(depth=10, width=1),
    *(Vgg(kind=kind, width=0.125) for kind in ("vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn")),
    DenseNet(depth=16, growth=4),
    Vit(depth=2, dim=24, heads=3),
    Timm(name="test_efficientnet"),
]
BY_KIND = {model.kind: model for model in SMALL}
assert list(BY_KIND) == list(VOCABULARY["model"])

# What timm builds has no stages, and takes no picture however small; it has a file of its own.
OURS = [model for model in SMALL if model.kind != "timm"]


LINEAR = LinearHead()


def network(model=SMALL[0], shape=(1, 8, 8), classes=10, seed=0, head=LINEAR):
    return models.build(model, head, shape, classes, seed)


def inputs(shape, count=4):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))
