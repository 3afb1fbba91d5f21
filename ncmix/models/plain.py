"""Networks without shortcuts: fully connected layers, a small convolutional network, VGG.

Shapes: C channels, D feature dimension; inputs of `shape` (C, H, W) or (D,).
"""

from itertools import pairwise

import numpy as np
from torch import nn

from ncmix.models.body import Body, conv3x3, norm_relu, pooled, started_like_he
from ncmix.spec import ConvNet, Mlp, Vgg


def mlp(model: Mlp, shape: tuple[int, ...]) -> Body:
    """Hidden layers, each a stage; the last one is the feature."""
    widths = (int(np.prod(shape)), *model.hidden)
    first, *later = ([nn.Linear(n, m), nn.ReLU(inplace=True)] for n, m in pairwise(widths))
    stages = [nn.Sequential(nn.Flatten(), *first), *(nn.Sequential(*layers) for layers in later)]
    return Body(stages, nn.Identity(), model.feature_dim)


def convnet(model: ConvNet, shape: tuple[int, ...]) -> Body:
    """Four blocks, each a stage; height and width are halved between them."""
    channels = (shape[0], *model.channels)
    blocks = [
        nn.Sequential(*([_halve()] if i else []), conv3x3(n, m), *norm_relu(m))
        for i, (n, m) in enumerate(pairwise(channels))
    ]
    return Body(blocks, pooled(), model.feature_dim)


# Convolutions in each of the five stages.
_VGG = {"vgg11_bn": (1, 1, 2, 2, 2), "vgg13_bn": (2,) * 5, "vgg16_bn": (2, 2, 3, 3, 3), "vgg19_bn": (2, 2, 4, 4, 4)}


def vgg(model: Vgg, shape: tuple[int, ...]) -> Body:
    """Five stages, each of convolutions and a max-pool; their mean over space is the feature."""
    channels = (shape[0], *model.channels)
    stages = [
        nn.Sequential(*_vgg_layers(n, m, depth), _halve())
        for (n, m), depth in zip(pairwise(channels), _VGG[model.kind], strict=True)
    ]
    return started_like_he(Body(stages, pooled(), model.feature_dim))


def _vgg_layers(channels: int, width: int, depth: int) -> list[nn.Module]:
    """Convolutions with a bias, though batch normalisation has one too: so torchvision's network has them."""
    inputs = (channels, *(width,) * (depth - 1))
    return [layer for n in inputs for layer in (nn.Conv2d(n, width, 3, padding=1), *norm_relu(width))]


def _halve() -> nn.MaxPool2d:
    # ceil_mode: a picture of a single pixel stays one.
    return nn.MaxPool2d(2, ceil_mode=True)
