"""Which network maps an input to its feature vector, and which classifier reads it."""

from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from ncmix.spec.parts import Part, by_kind, listed

Width = Annotated[float, Field(gt=0, le=16)]


class Mlp(Part):
    """Fully connected ReLU layers; the last hidden layer is the feature."""

    kind: Literal["mlp"] = "mlp"
    hidden: Annotated[
        tuple[Annotated[int, Field(ge=1, le=65_536)], ...], listed, Field(min_length=1, max_length=32)
    ] = (
        256,
        256,
    )

    @property
    def feature_dim(self) -> int:
        """D, the number of features."""
        return self.hidden[-1]


class _Scaled(Part):
    """A network whose every number of channels is multiplied by `width`."""

    published: ClassVar[tuple[int, ...]] = (64, 128, 256, 512)
    growth: ClassVar[int] = 1

    width: Width = 1.0

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each stage, inside its bottlenecks where it has them: the published ones at width 1, and one at least."""
        return tuple(max(1, round(c * self.width)) for c in self.published)

    @property
    def feature_dim(self) -> int:
        """D, the number of features."""
        return self.growth * self.channels[-1]


class ConvNet(_Scaled):
    """Four 3×3 convolution blocks with batch normalisation and global average pooling: small enough for a CPU."""

    published = (32, 64, 128, 256)

    kind: Literal["convnet"] = "convnet"


class ResNet9(_Scaled):
    """The nine-layer ResNet of DAWNBench (Page 2018, "How to Train Your ResNet"), but its logits not divided by 8."""

    kind: Literal["resnet9"] = "resnet9"


class ResNet18(_Scaled):
    """ResNet-18 for small images: 3×3 stem, no max-pool (He et al. 2016; the stem of Papyan, Han, Donoho 2020)."""

    kind: Literal["resnet18"] = "resnet18"


class ResNet34(_Scaled):
    """ResNet-34 for small images: 3×3 stem, no max-pool (He et al. 2016; the stem of Papyan, Han, Donoho 2020)."""

    kind: Literal["resnet34"] = "resnet34"


class ResNet50(_Scaled):
    """ResNet-50 for small images: 3×3 stem, no max-pool, strides in the 3×3 convolutions (He et al. 2016)."""

    growth = 4

    kind: Literal["resnet50"] = "resnet50"


class PreActResNet18(_Scaled):
    """ResNet-18 of pre-activated blocks for small images; normalised and rectified at the end (He et al. 2016b)."""

    kind: Literal["preact_resnet18"] = "preact_resnet18"


def _whole_blocks(depth: int) -> int:
    """Four layers beside three groups of blocks, of two layers each."""
    if depth % 6 != 4:
        near = 6 * ((depth - 4) // 6) + 4
        raise ValueError(f"{depth} is not 4 more than a multiple of 6; allowed near it are {near} and {near + 6}")
    return depth


Depth = Annotated[int, Field(ge=10, le=400), AfterValidator(_whole_blocks)]


class WideResNet(Part):
    """WRN-depth-width: three groups of pre-activated blocks (Zagoruyko & Komodakis 2016), without dropout."""

    kind: Literal["wide_resnet"] = "wide_resnet"
    depth: Depth = 28
    width: Annotated[int, Field(ge=1, le=32)] = 10

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each group."""
        return 16 * self.width, 32 * self.width, 64 * self.width

    @property
    def feature_dim(self) -> int:
        """D, the number of features."""
        return self.channels[-1]


class Vgg(_Scaled):
    """VGG with batch normalisation; the mean over space replaces the hidden layers (Simonyan & Zisserman 2015)."""

    published = (64, 128, 256, 512, 512)

    kind: Literal["vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn"]


class DenseNet(Part):
    """DenseNet-BC for small images: three dense blocks, each layer adds `growth` channels (Huang et al. 2017)."""

    kind: Literal["densenet"] = "densenet"
    depth: Depth = 100
    growth: Annotated[int, Field(ge=1, le=128)] = 12

    @property
    def channels(self) -> tuple[int, ...]:
        """Of what each block reads, and of what the last one leaves: a transition keeps one half."""
        added, widths = self.growth * ((self.depth - 4) // 6), [2 * self.growth]
        for _ in range(2):
            widths.append((widths[-1] + added) // 2)
        return *widths, widths[-1] + added

    @property
    def feature_dim(self) -> int:
        """D, the number of features."""
        return self.channels[-1]


class Vit(Part):
    """The vision transformer, its class token the feature (Dosovitskiy et al. 2021), without dropout.

    Images whose sides `patch` does not divide are filled up with zeros.
    """

    kind: Literal["vit"] = "vit"
    patch: Annotated[int, Field(ge=1, le=64)] = 4
    depth: Annotated[int, Field(ge=1, le=48)] = 6
    dim: Annotated[int, Field(ge=1, le=4096)] = 384
    heads: Annotated[int, Field(ge=1, le=64)] = 6

    @model_validator(mode="after")
    def _heads_share_the_dimension(self) -> Self:
        if self.dim % self.heads:
            raise ValueError(f"dim {self.dim} must be a multiple of heads, which is {self.heads}")
        return self

    @property
    def feature_dim(self) -> int:
        """D, the number of features."""
        return self.dim


@cache
def timm_names() -> tuple[str, ...]:
    """The models of timm, as far as this version of ncmix knows them."""
    lines = files("ncmix.spec").joinpath("timm_names.txt").read_text("utf-8").splitlines()
    return tuple(line for line in lines if not line.startswith("#"))


def _known(name: str) -> str:
    if name in timm_names():
        return name
    near = get_close_matches(name.partition(".")[0], timm_names(), n=4, cutoff=0.5)
    hint = f"near it are {', '.join(near)}" if near else "allowed are the names that timm.list_models() gives"
    raise ValueError(f"timm has no model {_shortened(name)!r}; {hint}")


def _shortened(name: str) -> str:
    return name if len(name) <= 80 else f"{name[:79]}…"


class Timm(Part):
    """Any model of timm (Wightman 2019) by its name, such as convnext_atto; untrained, its features those before the
    classifier.
    """

    kind: Literal["timm"] = "timm"
    name: Annotated[str, Field(max_length=100), AfterValidator(_known)]

    @property
    def feature_dim(self) -> None:
        """D is known to timm only."""


class LinearHead(Part):
    """z = Wh + b."""

    kind: Literal["linear"] = "linear"
    bias: bool = True


class NormalizedHead(Part):
    """z = τ ŵ·ĥ: features and classifiers of length one, no bias (Yaras et al. 2022)."""

    kind: Literal["normalized"] = "normalized"
    tau: Annotated[float, Field(gt=0, le=1e6)] = 1.0


class EtfHead(Part):
    """z = Wh with W a simplex equiangular tight frame, ‖w_k‖² = m, drawn once and never trained; needs D ≥ K − 1
    features (Zhu et al. 2021).
    """

    kind: Literal["etf"] = "etf"
    m: Annotated[float, Field(gt=0, le=1e6)] = 1.0


Model = Annotated[
    Mlp
    | ConvNet
    | ResNet9
    | ResNet18
    | ResNet34
    | ResNet50
    | PreActResNet18
    | WideResNet
    | Vgg
    | DenseNet
    | Vit
    | Timm,
    *by_kind,
]
Head = Annotated[LinearHead | NormalizedHead | EtfHead, *by_kind]
