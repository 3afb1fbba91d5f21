"""Batch normalisation over a batch that is spread over several processes.

Shapes: B the rows of one process, C channels.
"""

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.autograd.function import FunctionCtx
from torch.nn.modules.batchnorm import _BatchNorm

from ncmix.errors import NcmixError


class NormError(NcmixError, TypeError):
    """A network has a normalisation that cannot be computed over several processes; the message is a sentence."""


def across_ranks(network: nn.Module, device: torch.device) -> None:
    """Let every batch normalisation of the network use the statistics of the whole batch, on all ranks.

    Parameters, statistics and their names stay as they are. On a GPU it is PyTorch's own, which knows no CPU.

    Raises:
        NormError: a normalisation does more than normalise, as some of timm's do.
    """
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, _BatchNorm):
                setattr(module, name, _converted(child, device))


def _converted(norm: _BatchNorm, device: torch.device) -> nn.Module:
    if type(norm) not in (nn.BatchNorm1d, nn.BatchNorm2d):
        raise NormError(
            f"{type(norm).__name__} cannot be computed on several devices together; allowed are BatchNorm1d and "
            "BatchNorm2d, or devices: 1."
        )
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(norm)
    return BatchNormAcrossRanks(norm)


class BatchNormAcrossRanks(_BatchNorm):
    """As nn.BatchNorm1d and 2d, but in train mode with mean and variance of the rows of all ranks."""

    def __init__(self, norm: _BatchNorm) -> None:
        """Takes over the parameters and the statistics of `norm`."""
        super().__init__(norm.num_features, norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        self.weight, self.bias = norm.weight, norm.bias
        for name, buffer in norm.named_buffers():
            self.register_buffer(name, buffer)
        self.train(norm.training)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the base class's name for it
        """(B, C, …) normalised per channel."""
        return self._of_all(input) if self.training else super().forward(input)

    def _of_all(self, x_B: Tensor) -> Tensor:
        over, shape = [0, *range(2, x_B.ndim)], (1, -1, *[1] * (x_B.ndim - 2))
        wide_B = x_B.to(torch.float32)
        count = _Sum.apply(wide_B.new_tensor(wide_B.numel() / self.num_features))
        mean_C = _Sum.apply(wide_B.sum(over)) / count
        # Of deviations, not E[x²] − E[x]²: that is all rounding where the mean is large.
        away_B = wide_B - mean_C.view(shape)
        variance_C = _Sum.apply(away_B.square().sum(over)) / count
        self._track(mean_C.detach(), (variance_C * count / (count - 1)).detach())
        scale_C = (variance_C + self.eps).rsqrt() * self.weight
        return (away_B * scale_C.view(shape) + self.bias.view(shape)).to(x_B.dtype)

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002 - the base class's name for it
        if input.ndim not in (2, 3, 4):
            raise ValueError(f"Inputs of {input.ndim} dimensions cannot be normalised; allowed are 2, 3 and 4.")

    def _track(self, mean_C: Tensor, variance_C: Tensor) -> None:
        if self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
        for running_C, now_C in ((self.running_mean, mean_C), (self.running_var, variance_C)):
            if running_C is not None:
                running_C.lerp_(now_C, self.momentum or 0.0)


class _Sum(torch.autograd.Function):
    """The sum over ranks; its gradient is the sum of all ranks' gradients, as each of them depends on it."""

    @staticmethod
    def forward(ctx: FunctionCtx, part: Tensor) -> Tensor:
        return _summed(part)

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return _summed(gradient)


def _summed(part: Tensor) -> Tensor:
    total = part.contiguous().clone()
    dist.all_reduce(total)
    return total
