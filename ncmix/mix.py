"""What a training step sees of a batch: inputs and soft targets, mixed before the forward pass.

Shapes: B batch, K classes; x_B is (B, …), y_B holds class indices, y_BK rows of class shares.

Nothing here waits for the device: λ is drawn on the host, partners on the device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ncmix.spec import Mix, Mixup, NoMix


@dataclass(frozen=True)
class Draws:
    """The generators of one run: `host` for numbers that Python needs, `device` for tensors that never leave it."""

    host: np.random.Generator
    device: torch.Generator

    @classmethod
    def seeded(cls, seed: int, device: torch.device, stream: int = 0) -> "Draws":
        """Generators that depend on `seed` and `stream` only; different streams of one seed are independent."""
        host, tensors = np.random.SeedSequence(seed, spawn_key=(stream,)).spawn(2)
        state = int(tensors.generate_state(1, np.uint64)[0])
        return cls(np.random.default_rng(host), torch.Generator(device).manual_seed(state))


@dataclass(frozen=True)
class Mixed:
    """A batch to train on: inputs (B, …) and soft targets (B, K) whose rows sum to one."""

    x_B: Tensor
    y_BK: Tensor


Mixer = Callable[[Tensor, Tensor, int, Draws], Mixed]
"""(x_B floating, y_B int64, K, draws) → Mixed."""

Pairing = Callable[[Tensor, torch.Generator], Tensor]
"""y_B → partner_B, the index of the sample that each sample is mixed with."""


def build(mix: Mix) -> Mixer:
    """The function that mixes batches as the spec says."""
    return MIXERS[mix.kind](mix)


def one_hot(y_B: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Hard targets (B, K): one at the class of the sample, zero elsewhere."""
    return (y_B[:, None] == torch.arange(classes, device=y_B.device)).to(dtype)


def _none(mix: NoMix) -> Mixer:
    def unmixed(x_B: Tensor, y_B: Tensor, classes: int, draws: Draws) -> Mixed:
        return Mixed(x_B, one_hot(y_B, classes, x_B.dtype))

    return unmixed


def _mixup(mix: Mixup) -> Mixer:
    """λx_i + (1−λ)x_j and λy_i + (1−λ)y_j (Zhang et al. 2018), one λ a batch or one a sample."""
    pair = PAIRINGS[mix.pairs]

    def mixed(x_B: Tensor, y_B: Tensor, classes: int, draws: Draws) -> Mixed:
        partner_B = pair(y_B, draws.device)
        y_BK = one_hot(y_B, classes, x_B.dtype)
        lam = _beta(mix.alpha, draws.host) if mix.lam == "per_batch" else _betas(mix.alpha, draws.host, x_B)
        return Mixed(_blend(x_B, x_B[partner_B], lam), _blend(y_BK, y_BK[partner_B], lam))

    return mixed


def _beta(alpha: float, host: np.random.Generator) -> float:
    # NumPy's sampler overflows to 0 near the largest float; from 1e15 on every draw is ½ to float32 anyway.
    alpha = min(alpha, 1e15)
    return float(host.beta(alpha, alpha))


def _betas(alpha: float, host: np.random.Generator, like_B: Tensor) -> Tensor:
    alpha = min(alpha, 1e15)
    lam_B = torch.from_numpy(host.beta(alpha, alpha, len(like_B))).to(like_B.dtype)
    # A copy from pageable memory would make the host wait for the device.
    return lam_B.pin_memory().to(like_B.device, non_blocking=True) if like_B.is_cuda else lam_B.to(like_B.device)


def _blend(one_B: Tensor, other_B: Tensor, lam: float | Tensor) -> Tensor:
    """λ·one + (1−λ)·other; exactly one of them at λ = 1 and 0, and exactly their value where they are equal."""
    if isinstance(lam, Tensor):
        lam = lam.view(-1, *(1,) * (one_B.ndim - 1))
    return torch.lerp(other_B, one_B, lam)


def _any(y_B: Tensor, generator: torch.Generator) -> Tensor:
    """A random permutation of the batch, as published: a sample can meet itself."""
    return torch.randperm(len(y_B), generator=generator, device=y_B.device)


def _same_class(y_B: Tensor, generator: torch.Generator) -> Tensor:
    """A random permutation within every class: a sample can meet itself, and must where it is the only one."""
    shuffled_B = _any(y_B, generator)
    in_order_B = torch.argsort(y_B, stable=True)
    at_random_B = shuffled_B[torch.argsort(y_B[shuffled_B], stable=True)]
    return at_random_B[torch.argsort(in_order_B)]


def _different_class(y_B: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform among the samples of all other classes, with replacement, each sample for itself.

    (A permutation with this property need not exist.) In a batch of one class everybody keeps itself: unmixed.
    """
    sorted_B, by_class_B = torch.sort(y_B, stable=True)
    first_B = torch.searchsorted(sorted_B, y_B)
    own_B = torch.searchsorted(sorted_B, y_B, right=True) - first_B
    others_B = len(y_B) - own_B
    uniform_B = torch.rand(len(y_B), generator=generator, device=y_B.device, dtype=torch.float64)
    rank_B = (uniform_B * others_B).long()
    partner_B = by_class_B[(rank_B + own_B * (rank_B >= first_B)).clamp_(max=len(y_B) - 1)]
    return torch.where(others_B > 0, partner_B, torch.arange(len(y_B), device=y_B.device))


PAIRINGS: dict[str, Pairing] = {"any": _any, "same_class": _same_class, "different_class": _different_class}

MIXERS: dict[str, Callable[[Any], Mixer]] = {"none": _none, "mixup": _mixup}
