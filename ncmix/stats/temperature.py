"""Temperature scaling (Guo et al. 2017): the one number that logits are divided by, fitted on one half of a split."""

import math
from functools import cached_property

import torch
from torch import Tensor

from ncmix.stats.chunks import UndefinedError

# The most logits that are kept: 268 MB in float32, the test split of ImageNet. Of a split with more a share is kept.
MOST_LOGITS = 1 << 26

# Logits that are worked on at once.
_AT_ONCE = 1 << 20

# Multiples of the golden ratio are spread evenly modulo 1, whatever period the labels have.
_GOLDEN = (math.sqrt(5) - 1) / 2


class Leads:
    """How far every logit is ahead of the true class's, z_k − z_y, kept block by block until the halves are asked for.

    Shapes: B rows of a block, K classes, N samples, H of them held back.
    """

    def __init__(self, samples: int, classes: int) -> None:
        self.share, self.seen = min(1.0, MOST_LOGITS / (samples * classes)), 0
        self.blocks: list[tuple[Tensor, Tensor]] = []

    def add(self, z_BK: Tensor, y_B: Tensor) -> None:
        """Logits (B, K) and labels (B,) of the next samples."""
        if self.share < 1:
            row_B = torch.arange(self.seen, self.seen + len(y_B), dtype=torch.float64)
            self.seen += len(y_B)
            kept = torch.nonzero((row_B * _GOLDEN) % 1 < self.share).flatten().to(y_B.device)
            z_BK, y_B = z_BK[kept], y_B[kept]
        self.blocks.append((z_BK - z_BK.gather(1, y_B[:, None]), y_B))

    @cached_property
    def halves(self) -> tuple[Tensor, Tensor]:
        """The leads held back (H, K) and those to score (N−H, K): every other sample of a class, from its first on.

        By class, because data may be sorted by class or go through the classes in turn.
        """
        held_N = _odd_of_class(torch.cat([y_B for _, y_B in self.blocks]))
        lead_NK = torch.cat([lead_BK for lead_BK, _ in self.blocks])
        self.blocks.clear()
        return lead_NK[held_N], lead_NK[~held_N]


def _odd_of_class(y_N: Tensor) -> Tensor:
    """Whether a sample is the 1st, 3rd, 5th … of its class, in the order of the data."""
    sorted_N, order_N = y_N.sort(stable=True)
    position_N = torch.arange(len(y_N), device=y_N.device)
    rank_N = position_N - torch.searchsorted(sorted_N, sorted_N)
    return torch.empty_like(y_N).scatter_(0, order_N, rank_N) % 2 == 0


def best_temperature(lead_NK: Tensor) -> float:
    """The T > 0 at which the cross-entropy of softmax(z/T) is least, by Newton's method in β = 1/T, where it is convex.

    Args:
        lead_NK: z_k − z_y.

    Raises:
        UndefinedError: no T is best.
    """
    if not len(lead_NK):
        raise UndefinedError("no sample is held back to fit a temperature")
    if not _slope(lead_NK, 0)[0] < 0:
        raise UndefinedError("the held-back half is told apart no better than by chance: no temperature is best")
    if float(lead_NK.max()) <= 0:
        raise UndefinedError("the held-back half is all classified right: the colder the better, without end")
    low, high, beta, before = 0.0, math.inf, 1.0, 0.0
    while abs(beta - before) > 1e-7 * beta:
        slope, curvature = _slope(lead_NK, beta)
        low, high = (beta, high) if slope < 0 else (low, beta)
        newton = beta - slope / curvature if curvature > 0 else math.inf
        # A step that leaves what is known to hold the minimum is replaced by the middle; without an end, go outwards.
        before, beta = beta, newton if low < newton < high else min(2 * beta, (low + high) / 2)
    return 1 / beta


def _slope(lead_NK: Tensor, beta: float) -> tuple[float, float]:
    """First and second derivative in β of Σ ln Σ_k e^{β(z_k − z_y)}: mean and variance of the leads under softmax."""
    total = torch.zeros(2, dtype=torch.float64, device=lead_NK.device)
    for lead_BK in lead_NK.split(max(1, _AT_ONCE // lead_NK.shape[1])):
        p_BK = (beta * lead_BK).softmax(1)
        mean_B1 = (p_BK * lead_BK).sum(1, keepdim=True)
        variance_B = p_BK.mul_((lead_BK - mean_B1).square_()).sum(1)
        total += torch.stack([mean_B1.sum(dtype=torch.float64), variance_B.sum(dtype=torch.float64)])
    slope, curvature = total.tolist()
    return slope, curvature


def doubts(lead_BK: Tensor) -> tuple[Tensor, Tensor]:
    """1 − max_k p_k (B,), with all its digits where it is tiny, and whether another class is ahead of the true one."""
    top_B1, guess_B1 = lead_BK.max(1, keepdim=True)
    rest_B = (lead_BK - top_B1).exp_().scatter_(1, guess_B1, 0.0).sum(1)
    return rest_B / (1 + rest_B), top_B1[:, 0] > 0
