"""The features that are measured: Gaussian clouds around random means, with a classifier near its dual."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Case:
    """N samples of K classes in D dimensions."""

    samples: int
    dimension: int
    classes: int

    def __str__(self) -> str:
        return f"{self.samples:,} × {self.dimension:,}, K = {self.classes:,}"


CASES = (Case(50_000, 512, 10), Case(50_000, 640, 100), Case(20_000, 2_048, 1_000))
IMAGENET = Case(1_280_000, 2_048, 1_000)


class Features:
    """The features of a case, made chunk by chunk, always the same; classes take turns."""

    def __init__(self, case: Case, rows: int = 5_000) -> None:
        self.case, self.rows = case, rows
        g = torch.Generator().manual_seed(0)
        self.mean_KD = torch.randn(case.classes, case.dimension, generator=g)
        centred_KD = self.mean_KD - self.mean_KD.mean(0)
        self.w_KD = (centred_KD + 0.1 * torch.randn(centred_KD.shape, generator=g)) / case.dimension**0.5
        self.noise_BD = torch.randn(rows, case.dimension, generator=g)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, self.case.samples, self.rows):
            y_B = torch.arange(start, min(start + self.rows, self.case.samples)) % self.case.classes
            # The same noise, moved on: as good as new for a measurement, and far cheaper.
            noise_BD = self.noise_BD.roll((start // self.rows) * 7, 0)[: len(y_B)]
            yield self.mean_KD[y_B] + noise_BD, y_B

    def whole(self) -> tuple[Tensor, Tensor]:
        """All of them at once: (N, D) and (N,)."""
        h, y = zip(*self, strict=True)
        return torch.cat(h), torch.cat(y)
