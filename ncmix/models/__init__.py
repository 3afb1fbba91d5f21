"""Networks as body and classifier: forward(x) gives the last-layer features and the logits, no hooks needed.

Shapes: B batch, C channels, D feature dimension, K classes.

Initialisation: He normal (fan out) for the convolutions of published networks as in torchvision, the vision transformer
as published, torch's defaults elsewhere. Images may have any height and width, one channel or three.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ncmix import heads
from ncmix.models import densenet, foreign, plain, resnet, vit
from ncmix.models.body import Blend, Body
from ncmix.models.foreign import ModelError
from ncmix.spec import Head, Model

__all__ = ["MODELS", "Blend", "Body", "ModelError", "Network", "build"]


class Network(nn.Module):
    """A body that maps inputs to features (B, D) and a head that maps these to logits (B, K)."""

    def __init__(self, body: Body, head: heads.Classifier) -> None:
        super().__init__()
        self.body = body
        self.head = head

    def forward(self, x_B: Tensor, blend: Blend | None = None) -> tuple[Tensor, Tensor]:
        """The features, exactly what the classifier reads, and the logits; of blended samples if so wished.

        Raises:
            ValueError: the network has no such place to blend at.
        """
        h_BD = self.head.features(self.body(x_B, blend))
        return h_BD, self.head(h_BD)

    @property
    def places(self) -> int:
        """How many places there are to blend at: 0 is the input itself, 1 … places − 1 come after a stage."""
        return self.body.places

    @property
    def weight(self) -> Tensor:
        """The rows of the classifier, (K, D), such that the logits are h Wᵀ + b of the features."""
        return self.head.weight

    @property
    def bias(self) -> Tensor | None:
        """The offset of the classifier, (K), if it has one."""
        return self.head.bias


def build(model: Model, head: Head, shape: tuple[int, ...], classes: int, seed: int) -> Network:
    """The untrained network on the CPU, for inputs of `shape`, (C, H, W) or (D,).

    The weights depend on the arguments only: they are the same whatever device trains, and the global generators are
    left as they were.

    Raises:
        ModelError: timm cannot build this model for such inputs.
        HeadError: the features are too few for this head.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"):
        # Hashed: torch's CPU generator keeps only 32 bits of a seed. Not by torch.manual_seed: that seeds CUDA too.
        torch.default_generator.manual_seed(int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0]))
        body = MODELS[model.kind](model, shape)
        return Network(body, heads.build(head, body.dim, classes))


MODELS: dict[str, Callable[[Any, tuple[int, ...]], Body]] = {
    "mlp": plain.mlp,
    "convnet": plain.convnet,
    "resnet9": resnet.resnet9,
    "resnet18": resnet.resnet,
    "resnet34": resnet.resnet,
    "resnet50": resnet.resnet,
    "preact_resnet18": resnet.preact_resnet18,
    "wide_resnet": resnet.wide_resnet,
    "vgg11_bn": plain.vgg,
    "vgg13_bn": plain.vgg,
    "vgg16_bn": plain.vgg,
    "vgg19_bn": plain.vgg,
    "densenet": densenet.densenet,
    "vit": vit.vit,
    "timm": foreign.timm,
}
