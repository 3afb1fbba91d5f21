"""Where arithmetic happens and how exactly: the device, float32 without shortcuts, deterministic kernels."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from ncmix.errors import NcmixError

# From glibc's malloc.h, and the largest number that it takes for them.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _ANY_SIZE = -1, -3, 2**31 - 1

Float32 = Literal["ieee", "tf32"]


class DeviceError(NcmixError, RuntimeError):
    """The device that was asked for is not there; the message is a sentence."""


def resolve_device(asked: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda` or `cuda:1`; `auto` is a GPU where there is one.

    Raises:
        DeviceError: a GPU was asked for and PyTorch sees none.
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(asked)
    if device.type == "cuda" and not torch.cuda.is_available():
        reason = why_no_gpu()
        raise DeviceError(
            f"The device {asked!r} was asked for, but PyTorch sees no GPU here ({reason}); allowed are auto and cpu."
        )
    return device


def why_no_gpu() -> str:
    """What PyTorch says, without a full stop at its end, when it is asked for a GPU in vain."""
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:  # the latter where it was built without CUDA
        said, _, _ = str(error).partition(". Please ")  # what follows are links
        return said.splitlines()[0].rstrip(". ") if said else type(error).__name__
    return "it does not say why"


def prepare_process() -> None:
    """What a process that trains does first: it leaves a core free, and keeps memory to use it again."""
    _leave_a_core_free()
    _keep_freed_memory()


def _leave_a_core_free() -> None:
    """Let PyTorch use all cores of this process but one, unless OMP_NUM_THREADS says how many threads it shall use.

    With a thread on every core each barrier waits for whichever thread the system has just paused for somebody else:
    on two cores, one of them busy, small networks trained 50 times slower on two threads than on one.
    """
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - 1))


def _keep_freed_memory() -> None:
    """Let glibc keep what is freed, as it does with small pieces, instead of giving it back to the system.

    Every step takes what the last one freed. Given back and taken again it means several times as many page faults,
    which cost a small network on a CPU up to a sixth of its time; kept, up to a third more memory is in use at most.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _ANY_SIZE)
        mallopt(_M_TRIM_THRESHOLD, _ANY_SIZE)


@contextmanager
def arithmetic(float32: Float32 = "ieee", deterministic: bool = False, searching: bool = False) -> Iterator[None]:
    """Within: how float32 products are computed on a GPU, and whether only deterministic kernels may run.

    `searching` lets cuDNN try all its kernels for each new shape and keep the fastest: for what is done thousands of
    times. (By default it tries ten, and misses the fastest for ResNet-18 on an H200.)

    "ieee" matters for measuring: cuDNN convolutions use TF32 by default, which makes NC1 of a collapsed network 1.6
    times too large. Whatever was set before is set again on leaving.
    """
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul  # pyright: ignore[reportAttributeAccessIssue]
    before = conv.fp32_precision, matmul.fp32_precision, torch.are_deterministic_algorithms_enabled()
    searched = torch.backends.cudnn.benchmark, torch.backends.cudnn.benchmark_limit
    conv.fp32_precision = matmul.fp32_precision = float32
    torch.backends.cudnn.benchmark = searching and not deterministic
    if searching:
        torch.backends.cudnn.benchmark_limit = 0
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS refuses to be deterministic without it
        torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        conv.fp32_precision, matmul.fp32_precision = before[:2]
        if deterministic:  # to set it imports PyTorch's compiler
            torch.use_deterministic_algorithms(before[2])
        torch.backends.cudnn.benchmark, torch.backends.cudnn.benchmark_limit = searched
