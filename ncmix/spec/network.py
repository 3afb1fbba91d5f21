"""Which network maps an input to its feature vector, and which classifier reads it."""

from typing import Annotated, Literal

from pydantic import Field

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


class ConvNet(Part):
    """Four 3×3 convolution blocks with batch normalisation and global average pooling: small enough for a CPU."""

    kind: Literal["convnet"] = "convnet"
    width: Width = 1.0


class ResNet18(Part):
    """ResNet-18 for small images: 3×3 stem, no max-pool (He et al. 2016; the stem of Papyan, Han, Donoho 2020)."""

    kind: Literal["resnet18"] = "resnet18"
    width: Width = 1.0


class LinearHead(Part):
    """z = Wh + b."""

    kind: Literal["linear"] = "linear"
    bias: bool = True


Model = Annotated[Mlp | ConvNet | ResNet18, *by_kind]
Head = LinearHead
