"""What is asked of every row of a matrix. Shapes: B rows, C columns."""

import torch
from torch import Tensor


def finite_rows(m_BC: Tensor) -> Tensor:
    """Which rows are all numbers (B,)."""
    low_B, high_B = torch.aminmax(m_BC, dim=1)
    return torch.isfinite(low_B) & torch.isfinite(high_B)


def squared_norms(m_BC: Tensor) -> Tensor:
    """Of every row, in float64 (B,)."""
    return torch.linalg.vector_norm(m_BC, dim=1).to(torch.float64).square()
