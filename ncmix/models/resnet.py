"""Residual networks for small images: a 3×3 stem and no max-pool before the first stage.

Shapes: B batch; inputs of `shape` (C, H, W).
"""

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import relu

from ncmix.models.body import Body, conv1x1, conv3x3, norm_relu, pooled, started_like_he
from ncmix.spec import PreActResNet18, ResNet9, ResNet18, ResNet34, ResNet50, WideResNet


class _Residual(nn.Module):
    """The basic block of He et al. 2016; a 1×1 convolution carries the input where its shape changes."""

    growth = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv3x3(channels, width, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv3x3(width, width), nn.BatchNorm2d(width)
        self.shortcut = _projection(channels, width, stride)

    def forward(self, x_B: Tensor) -> Tensor:
        inner_B = relu(self.bn1(self.conv1(x_B)), inplace=True)
        return relu(self.bn2(self.conv2(inner_B)) + self.shortcut(x_B), inplace=True)


class _Bottleneck(nn.Module):
    """The bottleneck of He et al. 2016, with the stride in its 3×3 convolution as in torchvision."""

    growth = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv1x1(channels, width), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv3x3(width, width, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv1x1(width, self.growth * width), nn.BatchNorm2d(self.growth * width)
        self.shortcut = _projection(channels, self.growth * width, stride)

    def forward(self, x_B: Tensor) -> Tensor:
        inner_B = relu(self.bn1(self.conv1(x_B)), inplace=True)
        inner_B = relu(self.bn2(self.conv2(inner_B)), inplace=True)
        return relu(self.bn3(self.conv3(inner_B)) + self.shortcut(x_B), inplace=True)


def _projection(channels: int, width: int, stride: int) -> nn.Module:
    if stride == 1 and channels == width:
        return nn.Identity()
    return nn.Sequential(conv1x1(channels, width, stride), nn.BatchNorm2d(width))


class _PreActivated(nn.Module):
    """The block of He et al. 2016b: normalisation and ReLU come before each convolution, and before a projection."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(channels), conv3x3(channels, width, stride)
        self.bn2, self.conv2 = nn.BatchNorm2d(width), conv3x3(width, width)
        self.projection = conv1x1(channels, width, stride) if stride != 1 or channels != width else None

    def forward(self, x_B: Tensor) -> Tensor:
        active_B = relu(self.bn1(x_B), inplace=True)
        inner_B = self.conv2(relu(self.bn2(self.conv1(active_B)), inplace=True))
        return inner_B + (x_B if self.projection is None else self.projection(active_B))


_BLOCKS: dict[str, tuple[type[_Residual | _Bottleneck], tuple[int, ...]]] = {
    "resnet18": (_Residual, (2, 2, 2, 2)),
    "resnet34": (_Residual, (3, 4, 6, 3)),
    "resnet50": (_Bottleneck, (3, 4, 6, 3)),
}


def resnet(model: ResNet18 | ResNet34 | ResNet50, shape: tuple[int, ...]) -> Body:
    """Four stages; the stem belongs to the first."""
    block, depths = _BLOCKS[model.kind]
    stem = [conv3x3(shape[0], model.channels[0]), *norm_relu(model.channels[0])]
    outputs = (model.channels[0], *(block.growth * width for width in model.channels))
    stages = [
        [block(channels, width, stride=2 if i else 1), *(block(outputs[i + 1], width, 1) for _ in range(depth - 1))]
        for i, (channels, width, depth) in enumerate(zip(outputs[:-1], model.channels, depths, strict=True))
    ]
    return started_like_he(Body(_after(stem, stages), pooled(), model.feature_dim))


def preact_resnet18(model: PreActResNet18, shape: tuple[int, ...]) -> Body:
    """Four stages of two blocks; the last normalisation and ReLU come after them."""
    widths = (model.channels[0], *model.channels)
    return _preactivated(shape[0], widths, blocks=2)


def wide_resnet(model: WideResNet, shape: tuple[int, ...]) -> Body:
    """Three groups of (depth − 4)/6 blocks, each a stage; the stem has 16 channels whatever the width."""
    widths = (16, *model.channels)
    return _preactivated(shape[0], widths, blocks=(model.depth - 4) // 6)


def _preactivated(channels: int, widths: tuple[int, ...], blocks: int) -> Body:
    """From the widths of the stem and of each stage."""
    stages = [
        [_PreActivated(n, m, stride=2 if i else 1), *(_PreActivated(m, m, 1) for _ in range(blocks - 1))]
        for i, (n, m) in enumerate(pairwise(widths))
    ]
    tail = pooled(*norm_relu(widths[-1]))
    return started_like_he(Body(_after([conv3x3(channels, widths[0])], stages), tail, widths[-1]))


def _after(stem: Sequence[nn.Module], stages: Sequence[Sequence[nn.Module]]) -> list[nn.Module]:
    """The stages, the first of them behind the stem."""
    return [nn.Sequential(*(stem if i == 0 else []), *blocks) for i, blocks in enumerate(stages)]


def resnet9(model: ResNet9, shape: tuple[int, ...]) -> Body:
    """Four stages: the stem, then three that halve, the first and last of these with a residual of two convolutions."""
    stem, *widths = model.channels
    stages = [nn.Sequential(conv3x3(shape[0], stem), *norm_relu(stem))]
    for i, (n, m) in enumerate(pairwise((stem, *widths))):
        # ceil_mode: a picture of a single pixel stays one.
        halving = [conv3x3(n, m), *norm_relu(m), nn.MaxPool2d(2, ceil_mode=True)]
        stages.append(nn.Sequential(*halving, *([] if i == 1 else [_Twice(m)])))
    return started_like_he(Body(stages, _Largest(), model.feature_dim))


class _Largest(nn.Module):
    """The largest value over height and width; equal ones share the gradient, on a GPU in the same order every time."""

    def forward(self, x_B: Tensor) -> Tensor:
        return x_B.amax((2, 3))


class _Twice(nn.Module):
    """x plus two convolutions of it, each with normalisation and ReLU; no ReLU after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first, second = ([conv3x3(width, width), *norm_relu(width)] for _ in range(2))
        self.inner = nn.Sequential(*first, *second)

    def forward(self, x_B: Tensor) -> Tensor:
        return x_B + self.inner(x_B)
