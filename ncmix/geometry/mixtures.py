"""Which images are mixed with which λ, and what a network makes of the mixtures."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ncmix.datasets.base import Data
from ncmix.models import Network
from ncmix.spec import Geometry

Rows = NDArray[np.int64]

# The six pairs of three classes, by their place among the three: those within a class first.
PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (1, 2), (0, 2))
SAME = 3

_BATCH = 512


@dataclass(frozen=True)
class Mixtures:
    """λ·x[left] + (1−λ)·x[right] of training images, all arrays (P,).

    Attributes:
        left, right: rows of the training split.
        pair: the place in PAIRS.
        lam: λ.
        cell: pair·L + place of λ on the grid; −1 beside the grid, where λ is ½ for `mix_amplification`.
    """

    left: Rows
    right: Rows
    pair: Rows
    lam: NDArray[np.float64]
    cell: Rows

    def __len__(self) -> int:
        return len(self.lam)


def grid(lambdas: int) -> NDArray[np.float64]:
    """The uniform grid of λ in [0, 1]."""
    return np.linspace(0.0, 1.0, lambdas)


def draw(rows: Sequence[Rows], geometry: Geometry, host: np.random.Generator) -> tuple[Mixtures, Mixtures]:
    """The mixtures of the picture, and those of the scalars, of the same couples of images.

    Args:
        rows: the training rows of each of the three classes.
        geometry: for each of the six pairs `per_pair` couples are drawn. In the picture each has a λ ~ U(0, 1). For the
            scalars they are dealt out over the grid, ⌈per_pair/L⌉ to each λ, and those of different classes are all
            mixed with λ = ½ besides.
        host: where all draws come from.
    """
    pictured, probed = [], []
    for pair, (a, b) in enumerate(PAIRS):
        left, right = _couples(rows[a], rows[b], geometry.per_pair, host)
        lam = host.random(geometry.per_pair)
        pictured.append(_mixtures(left, right, pair, lam, np.full(len(lam), -1)))
        probed.append(_dealt(left, right, pair, geometry))
    return _joined(pictured), _joined(probed)


def _couples(left: Rows, right: Rows, count: int, host: np.random.Generator) -> tuple[Rows, Rows]:
    """Images of two classes, or two different ones of one class if it has two."""
    first = host.integers(len(left), size=count)
    if left is not right:
        return left[first], right[host.integers(len(right), size=count)]
    others = host.integers(1, max(2, len(left)), size=count)
    return left[first], left[(first + others) % len(left)]


def _dealt(left: Rows, right: Rows, pair: int, geometry: Geometry) -> Mixtures:
    share = -(-geometry.per_pair // geometry.lambdas)
    place = np.repeat(np.arange(geometry.lambdas), share)
    lam, cell = grid(geometry.lambdas)[place], pair * geometry.lambdas + place
    if pair >= SAME:
        lam, cell = np.append(lam, np.full(len(left), 0.5)), np.append(cell, np.full(len(left), -1))
    couple = np.arange(len(lam)) % len(left)
    return _mixtures(left[couple], right[couple], pair, lam, cell)


def _mixtures(left: Rows, right: Rows, pair: int, lam: NDArray[np.float64], cell: Rows) -> Mixtures:
    return Mixtures(left, right, np.full(len(lam), pair), lam, cell)


def _joined(parts: list[Mixtures]) -> Mixtures:
    return Mixtures(*(np.concatenate(arrays) for arrays in zip(*(vars(p).values() for p in parts), strict=True)))


def sweep(
    network: Network, data: Data, mixtures: Mixtures, host: np.random.Generator
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Batches of places in `mixtures` (B,), features (B, D) and logits (B, K); each place comes once.

    In train mode the batches are random: their statistics are those of all pairs and λ together, as published.
    Whatever the network itself draws (dropout) is seeded by `host` too.
    """
    device = data.device
    order = host.permutation(len(mixtures)) if network.training else np.arange(len(mixtures))
    left, right = torch.from_numpy(mixtures.left), torch.from_numpy(mixtures.right)
    lam = torch.from_numpy(mixtures.lam.astype(np.float32)).view(-1, *(1,) * len(data.shape))
    for places in np.array_split(order, -(-len(order) // _BATCH)):
        rows_B = torch.from_numpy(places)
        one_B, other_B = (data.normalize(data.train.rows(side[rows_B].to(device))) for side in (left, right))
        x_B = torch.lerp(other_B, one_B, lam[rows_B].to(device))
        with _own_generator(int(host.integers(2**63)), device) if network.training else nullcontext():
            h_BD, z_BK = network(x_B)
        yield rows_B.to(device), h_BD, z_BK


@contextmanager
def _own_generator(seed: int, device: torch.device) -> Iterator[None]:
    """Dropout in train mode draws from the global generators: here they start from `seed`, after this as before."""
    cuda = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.default_generator.manual_seed(seed)
        for each in cuda:
            with torch.cuda.device(each):
                torch.cuda.manual_seed(seed)
        yield
