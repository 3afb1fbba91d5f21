"""DenseNet-BC for small images: every layer reads what all layers before it in its block have written.

Source: Huang, Liu, van der Maaten, Weinberger 2017, "Densely Connected Convolutional Networks", CIFAR variant.
"""

import torch
from torch import Tensor, nn

from ncmix.models.body import Body, conv1x1, conv3x3, norm_relu, pooled, started_like_he
from ncmix.spec import DenseNet

# A bottleneck has four times the channels that its layer adds.
_BOTTLENECK = 4


def densenet(model: DenseNet, shape: tuple[int, ...]) -> Body:
    """Three dense blocks of (depth − 4)/6 layers, each a stage; the stem and the transitions open them."""
    layers, width = (model.depth - 4) // 6, shape[0]
    stages = []
    for i, read in enumerate(model.channels[:-1]):
        opening = _transition(width, read) if i else [conv3x3(width, read)]
        dense = [_Layer(read + j * model.growth, model.growth) for j in range(layers)]
        stages.append(nn.Sequential(*opening, *dense))
        width = read + layers * model.growth
    return started_like_he(Body(stages, pooled(*norm_relu(width)), width))


class _Layer(nn.Module):
    """Adds `growth` channels to those it reads."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        inner = _BOTTLENECK * growth
        self.inner = nn.Sequential(
            *norm_relu(channels), conv1x1(channels, inner), *norm_relu(inner), conv3x3(inner, growth)
        )

    def forward(self, x_B: Tensor) -> Tensor:
        return torch.cat([x_B, self.inner(x_B)], 1)


def _transition(channels: int, width: int) -> list[nn.Module]:
    # ceil_mode: a picture of a single pixel stays one.
    return [*norm_relu(channels), conv1x1(channels, width), nn.AvgPool2d(2, ceil_mode=True)]
