"""Networks as body and classifier: forward(x) gives the last-layer features and the logits, no hooks needed.

Shapes: B batch, C channels, D feature dimension, K classes.

Initialisation: He normal (fan out) for the convolutions of ResNet as in torchvision, torch's defaults elsewhere.
Images may have any height and width, one channel or three.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from ncmix import heads
from ncmix.spec import ConvNet, Head, Mlp, Model, ResNet18


@dataclass(frozen=True)
class Blend:
    """What happens to the batch at one place within the network: 0 is the input, 1 … places−1 follow a stage."""

    place: int
    apply: Callable[[Tensor], Tensor]


class Network(nn.Module):
    """A body that maps inputs to features (B, D) and a head that maps these to logits (B, K)."""

    def __init__(self, body: nn.Sequential, head: nn.Linear) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, x_B: Tensor, blend: Blend | None = None) -> tuple[Tensor, Tensor]:
        """The features, exactly what the classifier reads, and the logits."""
        h_B = x_B
        for place, stage in enumerate(self.body):
            h_B = stage(blend.apply(h_B) if blend and blend.place == place else h_B)
        return h_B, self.head(h_B)

    @property
    def places(self) -> int:
        """How many places there are where a batch can be blended."""
        return len(self.body)

    @property
    def weight(self) -> Tensor:
        """The rows of the classifier, (K, D)."""
        return self.head.weight

    @property
    def bias(self) -> Tensor | None:
        """The offset of the classifier, (K), if it has one."""
        return self.head.bias


def build(model: Model, head: Head, shape: tuple[int, ...], classes: int, seed: int) -> Network:
    """The untrained network on the CPU, for inputs of `shape`, (C, H, W) or (D,).

    The weights depend on the arguments only: they are the same whatever device trains, and the global generators are
    left as they were.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # Hashed: torch's CPU generator keeps only 32 bits of a seed. Not by torch.manual_seed: that seeds CUDA too.
        torch.default_generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))
        body, dim = MODELS[model.kind](model, shape)
        return Network(body, heads.build(head, dim, classes))


Body = tuple[nn.Sequential, int]
"""Stages that map inputs to features, and how many features these are."""


def _mlp(model: Mlp, shape: tuple[int, ...]) -> Body:
    widths = (int(np.prod(shape)), *model.hidden)
    stages = [nn.Sequential(nn.Flatten(), nn.Linear(n, m), nn.ReLU(inplace=True)) for n, m in pairwise(widths)]
    return nn.Sequential(*stages, nn.Identity()), model.hidden[-1]


def _convnet(model: ConvNet, shape: tuple[int, ...]) -> Body:
    """32, 64, 128 and 256 channels at width 1, halved in height and width between them."""
    channels = (shape[0], *(_scaled(c, model.width) for c in (32, 64, 128, 256)))
    blocks = [_conv_block(n, m, halve=i > 0) for i, (n, m) in enumerate(pairwise(channels))]
    return nn.Sequential(*blocks, _pooling()), channels[-1]


def _conv_block(channels: int, width: int, *, halve: bool) -> nn.Sequential:
    # ceil_mode: a picture of a single pixel stays one.
    pool = [nn.MaxPool2d(2, ceil_mode=True)] if halve else []
    conv = nn.Conv2d(channels, width, 3, padding=1, bias=False)
    return nn.Sequential(*pool, conv, nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def _resnet18(model: ResNet18, shape: tuple[int, ...]) -> Body:
    """64, 128, 256 and 512 channels at width 1, two blocks each."""
    widths = [_scaled(c, model.width) for c in (64, 128, 256, 512)]
    stem = nn.Sequential(_conv3x3(shape[0], widths[0]), nn.BatchNorm2d(widths[0]), nn.ReLU(inplace=True))
    stages = [
        nn.Sequential(_Residual(n, m, stride=1 if i == 0 else 2), _Residual(m, m, stride=1))
        for i, (n, m) in enumerate(pairwise((widths[0], *widths)))
    ]
    body = nn.Sequential(nn.Sequential(stem, stages[0]), *stages[1:], _pooling())
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return body, widths[-1]


class _Residual(nn.Module):
    """The basic block of He et al. 2016; a 1×1 convolution carries the input where its shape changes."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = _conv3x3(channels, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = _conv3x3(width, width), nn.BatchNorm2d(width)
        self.shortcut = nn.Identity()
        if stride != 1 or channels != width:
            projection = nn.Conv2d(channels, width, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, nn.BatchNorm2d(width))

    def forward(self, x_B: Tensor) -> Tensor:
        inner_B = relu(self.bn1(self.conv1(x_B)), inplace=True)
        return relu(self.bn2(self.conv2(inner_B)) + self.shortcut(x_B), inplace=True)


def _conv3x3(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)


def _pooling() -> nn.Sequential:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


MODELS: dict[str, Callable[[Any, tuple[int, ...]], Body]] = {"mlp": _mlp, "convnet": _convnet, "resnet18": _resnet18}
