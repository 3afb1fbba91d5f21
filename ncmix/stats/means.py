"""The first pass: class means in float64, and the singular value decomposition of what lies between them."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from ncmix.stats.chunks import Chunks, StatisticsError, UndefinedError, blocks, working_dtype
from ncmix.stats.products import gram
from ncmix.stats.rows import finite_rows


@dataclass(frozen=True, eq=False)
class Spectrum:
    """M̃ = U S Vᵀ, its R largest singular values decreasing, and the size below which they are rounding noise."""

    u_KR: Tensor
    s_R: Tensor
    noise: float

    @property
    def deficient(self) -> bool:
        """Whether some direction between the class means cannot be told from rounding."""
        return float(self.s_R[-1]) <= self.noise


@dataclass(frozen=True, eq=False)
class ClassMeans:
    """Samples (K,) and mean features (K, D) of every class, in float64; the mean of an absent class is NaN.

    `dtype` is the precision in which products with the features are computed.
    """

    count_K: Tensor
    mean_KD: Tensor
    dtype: torch.dtype

    @cached_property
    def filled(self) -> Tensor:
        """The class means (K, D), zeros for an absent class."""
        return self.mean_KD.nan_to_num() if self.gap else self.mean_KD

    @cached_property
    def samples(self) -> int:
        """N."""
        return int(self.count_K.sum())

    @cached_property
    def finite(self) -> bool:
        """Whether every feature is a number (a diverged network gives NaN and infinity)."""
        return bool((finite_rows(self.mean_KD) | (self.count_K == 0)).all())

    @cached_property
    def gap(self) -> str:
        """Why the classes do not all have a mean, as a clause; empty if they do."""
        if not self.finite:
            return "the features are not all finite"
        absent = torch.nonzero(self.count_K == 0).flatten().tolist()
        return f"class {absent[0]} has no sample in this split" if absent else ""

    @cached_property
    def centre(self) -> Tensor:
        """μ_G (D,), the unweighted mean of the class means.

        Raises:
            UndefinedError: a class is absent or a feature is not finite.
        """
        if self.gap:
            raise UndefinedError(self.gap)
        return self.mean_KD.mean(0)

    @cached_property
    def centred(self) -> Tensor:
        """M̃ (K, D), the class means less μ_G."""
        return self.mean_KD - self.centre

    @cached_property
    def norms(self) -> Tensor:
        """‖μ_k − μ_G‖ (K,)."""
        return torch.linalg.norm(self.centred, dim=1)

    @cached_property
    def gram(self) -> Tensor:
        """M̃M̃ᵀ (K, K)."""
        return gram(self.centred)

    @cached_property
    def noise(self) -> float:
        """The Frobenius norm that the rounding of features alone can give to M̃."""
        return torch.finfo(self.dtype).eps / 2 * float(torch.linalg.norm(self.mean_KD))

    @cached_property
    def sample_noise(self) -> float:
        """The Frobenius norm that the rounding of features alone can give to all of them, less their mean."""
        weighted_KD = self.count_K.sqrt()[:, None] * self.filled
        return torch.finfo(self.dtype).eps / 2 * float(torch.linalg.norm(weighted_KD))

    @cached_property
    def spectrum(self) -> Spectrum:
        """The singular value decomposition of M̃, with exactly min(K−1, D) directions."""
        classes, dimension = self.mean_KD.shape
        rank = min(classes - 1, dimension)
        s_K, u_KK = self._by_gram() if classes <= dimension else self._by_svd()
        # The Gram matrix squares the singular values: below 1e-4 of the largest it has lost digits that matter.
        if s_K[rank - 1] < 1e-4 * s_K[0]:
            s_K, u_KK = self._by_svd()
        float64 = max(classes, dimension) * torch.finfo(torch.float64).eps * float(s_K[0])
        return Spectrum(u_KK[:, :rank], s_K[:rank], max(self.noise, float64))

    def _by_gram(self) -> tuple[Tensor, Tensor]:
        squared_K, u_KK = torch.linalg.eigh(self.gram)
        return squared_K.clamp(min=0).sqrt().flip(0), u_KK.flip(1)

    def _by_svd(self) -> tuple[Tensor, Tensor]:
        u_KK, s_K, _ = torch.linalg.svd(self.centred, full_matrices=False)
        return s_K, u_KK


def class_means(chunks: Chunks, classes: int) -> ClassMeans:
    """Counts and means of `classes` classes, summed in float64 in the order of the rows.

    Raises:
        StatisticsError: there is no sample, or a label is not in 0 … classes − 1.
    """
    if classes < 2:
        raise StatisticsError(f"Neural collapse needs at least 2 classes; here is {classes}.")
    sums: _ClassSums | None = None
    for h_BD, y_B in blocks(chunks, classes):
        sums = sums or _ClassSums(classes, h_BD)
        sums.add(h_BD, y_B)
    if sums is None:
        raise StatisticsError("There is no sample to measure.")
    return sums.means()


class _ClassSums:
    """Adds up the features of every class, on their device."""

    def __init__(self, classes: int, like_BD: Tensor) -> None:
        dimension, device = like_BD.shape[-1], like_BD.device
        # On a GPU index_add_ adds in an order of its own, run to run; a product with one-hot rows is as fast there.
        self.one_hot = device.type != "cpu"
        self.dtype = working_dtype(like_BD)
        self.class_K = torch.arange(classes, device=device)
        self.sum_KD = torch.zeros(classes, dimension, dtype=torch.float64, device=device)
        self.count_K = torch.zeros(classes, dtype=torch.int64, device=device)
        self.lowest = torch.zeros((), dtype=torch.int64, device=device)
        self.highest = torch.zeros((), dtype=torch.int64, device=device)
        self.wide_BD = self.sum_KD.new_empty(0, dimension)

    def add(self, h_BD: Tensor, y_B: Tensor) -> None:
        self.lowest = torch.minimum(self.lowest, y_B.min())
        self.highest = torch.maximum(self.highest, y_B.max())
        y_B = y_B.clamp(0, len(self.class_K) - 1)  # strange labels are refused at the end: asking now would wait
        h_BD = self._widened(h_BD)
        if self.one_hot:
            one_hot_BK = y_B[:, None] == self.class_K
            self.sum_KD += one_hot_BK.to(torch.float64).T @ h_BD
            self.count_K += one_hot_BK.sum(0)
        else:
            self.sum_KD.index_add_(0, y_B, h_BD)
            self.count_K.index_add_(0, y_B, torch.ones_like(y_B))

    def _widened(self, h_BD: Tensor) -> Tensor:
        """In float64, in memory used again for every block: fresh pages would cost more than the sums."""
        if len(h_BD) > len(self.wide_BD):
            self.wide_BD = self.wide_BD.new_empty(h_BD.shape)
        return self.wide_BD[: len(h_BD)].copy_(h_BD)

    def means(self) -> ClassMeans:
        low, high = int(self.lowest), int(self.highest)
        if low < 0 or high >= len(self.class_K):
            strange, last = low if low < 0 else high, len(self.class_K) - 1
            raise StatisticsError(f"There is a sample of class {strange}; allowed are 0 to {last}, the rows of W.")
        return ClassMeans(self.count_K, self.sum_KD / self.count_K[:, None], self.dtype)
