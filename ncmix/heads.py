"""Classifiers that read the feature vector: z = Wh + b and its relatives.

Shapes: B batch, D feature dimension, K classes.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from ncmix.errors import NcmixError
from ncmix.spec import EtfHead, Head, LinearHead, NormalizedHead


class HeadError(NcmixError, ValueError):
    """The head cannot be built for so few features; the message is a sentence."""


class Classifier(nn.Module, ABC):
    """Logits h Wᵀ + b of the features h that it makes of what the body gives."""

    @property
    @abstractmethod
    def weight(self) -> Tensor:
        """The effective W, (K, D)."""

    @property
    def bias(self) -> Tensor | None:
        """b, (K), if there is one."""
        return None

    def features(self, h_BD: Tensor) -> Tensor:
        """What is classified, of what the body gives: the same, unless the head says otherwise."""
        return h_BD

    def forward(self, h_BD: Tensor) -> Tensor:
        """The logits (B, K) of features (B, D)."""
        return linear(h_BD, self.weight, self.bias)


class _Linear(Classifier):
    def __init__(self, dim: int, classes: int, *, bias: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, classes, bias=bias)

    @property
    def weight(self) -> Tensor:
        return self.linear.weight

    @property
    def bias(self) -> Tensor | None:
        return self.linear.bias


class _Normalized(Classifier):
    """The features are those of length one, and W = τŴ."""

    def __init__(self, dim: int, classes: int, tau: float) -> None:
        super().__init__()
        self.tau = tau
        self.direction = nn.Parameter(torch.randn(classes, dim))

    @property
    def weight(self) -> Tensor:
        return self.tau * normalize(self.direction, dim=1)

    def features(self, h_BD: Tensor) -> Tensor:
        return normalize(h_BD, dim=1)


class _Etf(Classifier):
    frame: Tensor

    def __init__(self, frame_KD: Tensor) -> None:
        super().__init__()
        self.register_buffer("frame", frame_KD)

    @property
    def weight(self) -> Tensor:
        return self.frame


def build(head: Head, dim: int, classes: int) -> Classifier:
    """The classifier that the spec names, for `dim` features; what is random comes from torch's global generator.

    Raises:
        HeadError: `dim` is too small for this head.
    """
    return HEADS[head.kind](head, dim, classes)


def _linear(head: LinearHead, dim: int, classes: int) -> Classifier:
    """Started like torch's own linear layer."""
    return _Linear(dim, classes, bias=head.bias)


def _normalized(head: NormalizedHead, dim: int, classes: int) -> Classifier:
    """Started in random directions."""
    return _Normalized(dim, classes, head.tau)


def _etf(head: EtfHead, dim: int, classes: int) -> Classifier:
    """W = √(mK/(K−1)) (I − 11ᵀ/K) Qᵀ, QᵀQ = I_K; of Q only the part that (I − 11ᵀ/K) keeps, K − 1 directions, is drawn.

    Source: Zhu et al. 2021, "A Geometric Analysis of Neural Collapse with Unconstrained Features".
    """
    if dim < classes - 1:
        raise HeadError(
            f"The etf head of {classes} classes needs {classes - 1} features or more, but the model gives {dim}."
        )
    centred_KK = torch.eye(classes, dtype=torch.float64) - 1 / classes
    basis_KR, _ = torch.linalg.qr(centred_KK[:, :-1])
    directions_DR, _ = torch.linalg.qr(torch.randn(dim, classes - 1, dtype=torch.float64))
    frame_KD = math.sqrt(head.m * classes / (classes - 1)) * basis_KR @ directions_DR.T
    return _Etf(frame_KD.float())


HEADS: dict[str, Callable[[Any, int, int], Classifier]] = {"linear": _linear, "normalized": _normalized, "etf": _etf}
