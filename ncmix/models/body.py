"""What every network is made of: stages one after another, between which a batch may be blended with itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class Blend:
    """Mixes the samples of a batch with one another inside the network (Verma et al. 2019, manifold mixup).

    Attributes:
        place: where; 0 is the input itself, k what leaves the k-th stage.
        apply: gives the mixed activations, of the same shape; the first dimension is the batch.
    """

    place: int
    apply: Callable[[Tensor], Tensor]


class Body(nn.Module):
    """Maps inputs to features (B, D): stages, then a tail that makes one vector of what leaves the last of them.

    Attributes:
        dim: D.
    """

    def __init__(self, stages: Iterable[nn.Module], tail: nn.Module, dim: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.tail = tail
        self.dim = dim

    @property
    def places(self) -> int:
        """How many places there are to blend at: the input, and after each stage."""
        return 1 + len(self.stages)

    def forward(self, x_B: Tensor, blend: Blend | None = None) -> Tensor:
        """The features (B, D), of samples that are blended at one place if so wished.

        Raises:
            ValueError: the network has no such place.
        """
        if blend and not 0 <= blend.place < self.places:
            raise ValueError(f"There is no place {blend.place} to blend at; allowed are 0 to {self.places - 1}.")
        x_B = _blended(x_B, blend, 0)
        for place, stage in enumerate(self.stages, start=1):
            x_B = _blended(stage(x_B), blend, place)
        return self.tail(x_B)


def _blended(x_B: Tensor, blend: Blend | None, here: int) -> Tensor:
    return blend.apply(x_B) if blend and blend.place == here else x_B


def pooled(*before: nn.Module) -> nn.Sequential:
    """The tail of most convolutional networks: the mean over height and width of what `before` leaves."""
    return nn.Sequential(*before, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def conv3x3(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps height and width (at stride 1), without bias: batch normalisation has one."""
    return nn.Conv2d(channels, width, 3, stride=stride, padding=1, bias=False)


def conv1x1(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    """A linear map of the channels, without bias."""
    return nn.Conv2d(channels, width, 1, stride=stride, bias=False)


def norm_relu(width: int) -> tuple[nn.BatchNorm2d, nn.ReLU]:
    """Batch normalisation and ReLU."""
    return nn.BatchNorm2d(width), nn.ReLU(inplace=True)


def started_like_he(body: Body) -> Body:
    """With normal weights of variance 2 / fan out in the convolutions, no bias (He et al. 2015; torchvision)."""
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return body
