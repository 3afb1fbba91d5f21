"""The features as they come: chunks of rows, checked, and cut into blocks that fit a cache."""

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from ncmix.errors import NcmixError

Chunks = Iterable[tuple[Tensor, Tensor]]
"""Features (B, D) and class indices (B,) on one device; walked twice, so a list or the like, not a generator."""

# Bytes of working space for a block of rows: what a CPU's cache holds; on a GPU, what keeps it busy.
_BLOCK = {"cpu": 16 << 20, "cuda": 256 << 20}

# Products with fewer rows than this are slower, by more than twice the working space costs.
_ROWS = 640


class StatisticsError(NcmixError, ValueError):
    """Features, labels and classifier do not fit together; the message is a sentence."""


class UndefinedError(NcmixError, ArithmeticError):
    """A quantity has no value for these features; the message says why."""


def working_dtype(h_BD: Tensor) -> torch.dtype:
    """In which precision products with features are computed: float32, or float64 if they are."""
    return torch.float64 if h_BD.dtype == torch.float64 else torch.float32


def blocks(chunks: Chunks, columns: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All rows in order, in blocks so small that D + `columns` numbers a row are bounded memory; labels as int64.

    Raises:
        StatisticsError: a chunk is not features (B, D) with labels (B,).
    """
    for h_BD, y_B in chunks:
        check(h_BD, y_B)
        rows = _BLOCK.get(h_BD.device.type, _BLOCK["cuda"]) // (8 * (h_BD.shape[1] + columns))
        rows = max(64, rows, min(2 * rows, _ROWS))
        pairs = zip(h_BD.detach().split(rows), y_B.to(torch.int64).split(rows), strict=True)
        yield from (pair for pair in pairs if len(pair[1]))


def check(h_BD: Tensor, y_B: Tensor) -> None:
    """Whether this is a chunk.

    Raises:
        StatisticsError: it is not features (B, D) with labels (B,).
    """
    if h_BD.ndim != 2 or y_B.shape != h_BD.shape[:1]:
        shapes = f"{tuple(h_BD.shape)} and {tuple(y_B.shape)}"
        raise StatisticsError(f"Features must be (N, D) and labels (N,) with one N; they are {shapes}.")
    if not h_BD.dtype.is_floating_point or y_B.dtype.is_floating_point or y_B.dtype.is_complex:
        raise StatisticsError(f"Features must be real and labels whole numbers; they are {h_BD.dtype} and {y_B.dtype}.")
