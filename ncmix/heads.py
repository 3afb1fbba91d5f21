"""Classifiers that read the feature vector: z = Wh + b and, later, its relatives.

Shapes: D feature dimension, K classes. Every head has `weight` (K, D) and `bias` (K) or None.
"""

from collections.abc import Callable
from typing import Any

from torch import nn

from ncmix.spec import Head, LinearHead


def build(head: Head, dim: int, classes: int) -> nn.Linear:
    """The classifier that the spec names, for `dim` features; torch's own initialisation, from the global generator."""
    return HEADS[head.kind](head, dim, classes)


def _linear(head: LinearHead, dim: int, classes: int) -> nn.Linear:
    return nn.Linear(dim, classes, bias=head.bias)


HEADS: dict[str, Callable[[Any, int, int], nn.Linear]] = {"linear": _linear}
