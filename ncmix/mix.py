"""What a training step sees of a batch: inputs and soft targets, mixed before the forward pass or within it.

Shapes: B batch, K classes, N boxes (1 or B); x_B is (B, …), y_B holds class indices, y_BK rows of class shares.

Nothing here waits for the device: λ, boxes and the place in the network are drawn on the host, partners on the device.
What the host draws comes first, as numbers: the rest of a step can be recorded once and replayed with other numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix.models import Blend
from ncmix.spec.objective import CutMix, LabelOnly, ManifoldMixup, Mix, Mixup, NoMix, Pairwise, RegMixup


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

    def state(self) -> dict[str, Any]:
        """Where both generators are in their streams."""
        return {"host": self.host.bit_generator.state, "device": self.device.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there; the device must be of the same kind."""
        self.host.bit_generator.state = state["host"]
        self.device.set_state(state["device"])


@dataclass(frozen=True)
class Mixed:
    """A batch to train on: inputs (B, …), soft targets (B, K) whose rows sum to one, and what the network shall mix."""

    x_B: Tensor
    y_BK: Tensor
    blend: Blend | None = None


@dataclass(frozen=True)
class Chance:
    """What the host has drawn for one batch: a place in the network, and λ (1 or B), or boxes and λ."""

    place: int = 0
    numbers: Sequence[NDArray[np.generic] | Tensor] = ()

    def on(self, device: torch.device) -> tuple[Tensor, ...]:
        """The numbers on a device."""
        return tuple(n if isinstance(n, Tensor) else _sent(n, device) for n in self.numbers)


@dataclass(frozen=True)
class Mixer:
    """How a batch is mixed, in two steps.

    Attributes:
        draw: (shape of the inputs, B first; host generator) → Chance.
        apply: (x_B floating, y_B int64, K, Chance with its numbers on the device of x_B, generator there) → Mixed.
    """

    draw: Callable[[Sequence[int], np.random.Generator], Chance]
    apply: Callable[[Tensor, Tensor, int, Chance, torch.Generator], Mixed]

    def __call__(self, x_B: Tensor, y_B: Tensor, classes: int, draws: Draws) -> Mixed:
        """Both at once."""
        chance = self.draw(x_B.shape, draws.host)
        return self.apply(x_B, y_B, classes, Chance(chance.place, chance.on(x_B.device)), draws.device)


Pairing = Callable[[Tensor, torch.Generator], Tensor]
"""y_B → partner_B, the index of the sample that each sample is mixed with."""


def build(mix: Mix, places: int = 1) -> Mixer:
    """What mixes batches as the spec says, for a network that can mix at `places` places."""
    return MIXERS[mix.kind](mix, places)


def one_hot(y_B: Tensor, classes: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Hard targets (B, K): one at the class of the sample, zero elsewhere."""
    return (y_B[:, None] == torch.arange(classes, device=y_B.device)).to(dtype)


def _none(mix: NoMix, places: int) -> Mixer:
    def unmixed(x_B: Tensor, y_B: Tensor, classes: int, chance: Chance, generator: torch.Generator) -> Mixed:
        return Mixed(x_B, one_hot(y_B, classes, x_B.dtype))

    return Mixer(lambda shape, host: Chance(), unmixed)


def _mixup(mix: Mixup, places: int) -> Mixer:
    """λx_i + (1−λ)x_j and λy_i + (1−λ)y_j (Zhang et al. 2018), one λ a batch or one a sample."""

    def mixed(x_B: Tensor, y_B: Tensor, classes: int, chance: Chance, generator: torch.Generator) -> Mixed:
        blended = _blending(mix, y_B, chance, generator)
        return Mixed(blended(x_B), blended(one_hot(y_B, classes, x_B.dtype)))

    return Mixer(partial(_lambda, mix), mixed)


def _manifold_mixup(mix: ManifoldMixup, places: int) -> Mixer:
    """Mixup at a place drawn anew every step: place 0 is the input, the others follow a stage (Verma et al. 2019)."""

    def drawn(shape: Sequence[int], host: np.random.Generator) -> Chance:
        return Chance(int(host.integers(places)), _lambda(mix, shape, host).numbers)

    def mixed(x_B: Tensor, y_B: Tensor, classes: int, chance: Chance, generator: torch.Generator) -> Mixed:
        blended = _blending(mix, y_B, chance, generator)
        return Mixed(x_B, blended(one_hot(y_B, classes, x_B.dtype)), Blend(chance.place, blended))

    return Mixer(drawn, mixed)


def _cutmix(mix: CutMix, places: int) -> Mixer:
    """A box of the partner's picture; λ is the share of the area outside it, as clipped (Yun et al. 2019)."""

    def drawn(shape: Sequence[int], host: np.random.Generator) -> Chance:
        height, width = shape[-2:]
        box_N4 = _boxes(_lambdas(mix, shape[0], host), height, width, host)
        left_N = 1 - (box_N4[:, 1] - box_N4[:, 0]) * (box_N4[:, 3] - box_N4[:, 2]) / (height * width)
        return Chance(numbers=(box_N4, left_N))

    def pasted(x_B: Tensor, y_B: Tensor, classes: int, chance: Chance, generator: torch.Generator) -> Mixed:
        box_N4, left_N = chance.on(x_B.device)
        partner_B = PAIRINGS[mix.pairs](y_B, generator)
        y_BK = one_hot(y_B, classes, x_B.dtype)
        return Mixed(
            torch.where(_inside(box_N4, x_B.shape[-2], x_B.shape[-1]), x_B[partner_B], x_B),
            _blend(y_BK, y_BK[partner_B], left_N),
        )

    return Mixer(drawn, pasted)


def _regmixup(mix: RegMixup, places: int) -> Mixer:
    """The clean batch, then the mixed one: the mean loss of the two is the mean of both losses (Pinto et al. 2022)."""

    def both(x_B: Tensor, y_B: Tensor, classes: int, chance: Chance, generator: torch.Generator) -> Mixed:
        blended = _blending(mix, y_B, chance, generator)
        y_BK = one_hot(y_B, classes, x_B.dtype)
        return Mixed(torch.cat([x_B, blended(x_B)]), torch.cat([y_BK, blended(y_BK)]))

    return Mixer(partial(_lambda, mix), both)


def _label_only(mix: LabelOnly, places: int) -> Mixer:
    """Clean inputs with mixed labels: no mixup, but in expectation, if classes are balanced, label smoothing of ½."""

    def mislabelled(x_B: Tensor, y_B: Tensor, classes: int, chance: Chance, generator: torch.Generator) -> Mixed:
        return Mixed(x_B, _blending(mix, y_B, chance, generator)(one_hot(y_B, classes, x_B.dtype)))

    return Mixer(partial(_lambda, mix), mislabelled)


def _blending(mix: Pairwise, y_B: Tensor, chance: Chance, generator: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Partners and λ of one step, as the function that mixes whatever the batch has become with them."""
    partner_B = PAIRINGS[mix.pairs](y_B, generator)
    (lam_N,) = chance.on(y_B.device)
    return lambda t_B: _blend(t_B, t_B[partner_B], lam_N)


def _lambda(mix: Pairwise, shape: Sequence[int], host: np.random.Generator) -> Chance:
    return Chance(numbers=(_lambdas(mix, shape[0], host),))


def _lambdas(mix: Pairwise, batch: int, host: np.random.Generator) -> NDArray[np.float64]:
    """λ ~ Beta(α, α), one for the batch or one a sample."""
    # NumPy's sampler overflows to 0 near the largest float; from 1e15 on every draw is ½ to float32 anyway.
    alpha = min(mix.alpha, 1e15)
    return host.beta(alpha, alpha, 1 if mix.lam == "per_batch" else batch)


def _sent(numbers: NDArray[np.generic], device: torch.device) -> Tensor:
    """On the device; a copy from pageable memory would make the host wait for it."""
    tensor = torch.from_numpy(numbers)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def _blend(one_B: Tensor, other_B: Tensor, lam_N: Tensor) -> Tensor:
    """λ·one + (1−λ)·other; exactly one of them at λ = 1 and 0, and exactly their value where they are equal."""
    return torch.lerp(other_B, one_B, lam_N.to(one_B.dtype).view(-1, *(1,) * (one_B.ndim - 1)))


def _boxes(lam_N: NDArray[np.float64], height: int, width: int, host: np.random.Generator) -> NDArray[np.int64]:
    """(N, 4) top, bottom, left, right: √(1−λ) of each side around a uniform centre, clipped at the border."""
    half_N = np.sqrt(1 - lam_N) / 2
    edges = []
    for side in (height, width):
        centre_N, reach_N = host.integers(side, size=len(lam_N)), (half_N * side).astype(np.int64)
        edges += [np.maximum(centre_N - reach_N, 0), np.minimum(centre_N + reach_N, side)]
    return np.stack(edges, axis=1)


def _inside(box_N4: Tensor, height: int, width: int) -> Tensor:
    """(N, 1, H, W): which pixels lie in the box, its top and left included, its bottom and right not."""
    down_H, across_W = (torch.arange(side, device=box_N4.device) for side in (height, width))
    top_N1, bottom_N1, left_N1, right_N1 = box_N4[:, :, None].unbind(1)
    rows_NH = (top_N1 <= down_H) & (down_H < bottom_N1)
    columns_NW = (left_N1 <= across_W) & (across_W < right_N1)
    return rows_NH[:, None, :, None] & columns_NW[:, None, None, :]


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

MIXERS: dict[str, Callable[[Any, int], Mixer]] = {
    "none": _none,
    "mixup": _mixup,
    "manifold_mixup": _manifold_mixup,
    "cutmix": _cutmix,
    "regmixup": _regmixup,
    "label_only": _label_only,
}
