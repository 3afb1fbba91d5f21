"""What a training step changes: taken, put back, and compared after the same step was made in two ways.

A step that is replayed from a recording must do what it would do by itself. Whether it does is not left to trust in
compilers, drivers and our own bookkeeping: the first one of every recording is made both ways.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

# How far apart two ways may come, as a share of the step: kernels add in any order, and bfloat16 has three digits.
# Other pictures, another λ or another learning rate are as far apart as the step is long.
_TOLERANCE = 0.1


@dataclass(frozen=True)
class State:
    """Copies of all tensors, and the states of the generators."""

    tensors: tuple[Tensor, ...]
    generator: Tensor
    default_generator: Tensor


@dataclass(frozen=True)
class Moving:
    """The parts that a step changes: weights and statistics, what the optimizer remembers, the sums of an epoch.

    `generator` is the one that the step draws from; layers like dropout draw from PyTorch's own.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    sums: Tensor
    generator: torch.Generator

    def groups(self) -> list[list[Tensor]]:
        """Weights, statistics, memories, sums."""
        memories = [t for kept in self.optimizer.state.values() for t in kept.values() if isinstance(t, Tensor)]
        return [list(self.network.parameters()), list(self.network.buffers()), memories, [self.sums]]

    def take(self) -> State:
        """A copy of all of it."""
        device = self.generator.device
        default = torch.cuda.get_rng_state(device) if device.type == "cuda" else torch.get_rng_state()
        return State(tuple(t.detach().clone() for g in self.groups() for t in g), self.generator.get_state(), default)

    @torch.no_grad()
    def put(self, state: State) -> None:
        """Make all of it what it was; the tensors stay where they are."""
        for tensor, was in zip((t for g in self.groups() for t in g), state.tensors, strict=True):
            tensor.copy_(was)
        self.generator.set_state(state.generator)
        if self.generator.device.type == "cuda":
            torch.cuda.set_rng_state(state.default_generator, self.generator.device)
        else:
            torch.set_rng_state(state.default_generator)

    def difference(self, before: State, other: State) -> float:
        """How far what is now is from `other`, as a share of the step from `before`: the worst of the groups.

        Of a group as a whole, because single tensors may not be meant to move at all, and then move by rounding.
        """
        at, worst = 0, 0.0
        for group in self.groups():
            was, there = (state.tensors[at : at + len(group)] for state in (before, other))
            moved, apart = _distance(group, was), _distance(group, there)
            worst = max(worst, apart / moved if moved else math.inf if apart else 0.0)
            at += len(group)
        return worst

    def alike(self, before: State, other: State) -> bool:
        """Whether a step from `before` came to the same in two ways: what is now, and `other`.

        A training that has diverged is alike however it is made.
        """
        return not self.difference(before, other) > _TOLERANCE


def _distance(one: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """Of all numbers together; counters are none."""
    pairs = [(a.detach(), b) for a, b in zip(one, other, strict=True) if a.is_floating_point() and a.ndim]
    squares = [(a.double() - b.double()).square().sum() for a, b in pairs]
    return math.sqrt(float(torch.stack(squares).sum())) if squares else 0.0
