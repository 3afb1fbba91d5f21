"""Several processes that train one run together, a device each: who is who, what they exchange, how they start and end.

The leader, rank 0, is the process that iterates `ncmix.train.run`; it starts the followers, which do the same with the
same seeds. Every rank draws the whole batch and its mixtures, computes its share of the rows, and gradients are added
up: the batch is the same however many ranks there are. What one process decides by its own clock, how many batches come
next, the leader tells the others. Followers keep nothing, so they are killed when the leader needs them no more.

Shapes: B batch, N samples.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from inspect import signature
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed import Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]
from torch.nn.parallel import DistributedDataParallel

from ncmix.datahome import DataHome
from ncmix.errors import NcmixError
from ncmix.mix import Mixed
from ncmix.norms import across_ranks
from ncmix.numerics import DeviceError
from ncmix.spec import Spec

# A rank that waits longer than this for another is alone.
_PATIENCE = timedelta(minutes=30)

# PyTorch's name for sending statistics to all ranks before every batch, which newer releases have renamed.
_OPTIONS = signature(DistributedDataParallel.__init__).parameters
_BROADCAST = "forward_sync_buffers" if "forward_sync_buffers" in _OPTIONS else "broadcast_buffers"


class RanksError(NcmixError, RuntimeError):
    """The processes of a run have lost each other; the message is a sentence."""


@dataclass(frozen=True)
class Ranks:
    """One process of a run that has `count` of them; by default the only one, which exchanges nothing."""

    rank: int = 0
    count: int = 1
    followers: list["subprocess.Popen[bytes]"] = field(default_factory=list, repr=False)

    @property
    def leads(self) -> bool:
        """Whether this is the process whose results count."""
        return self.rank == 0

    def of(self, size: int) -> slice:
        """Which of `size` consecutive rows are this rank's."""
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)

    def share(self, mixed: Mixed) -> Mixed:
        """The rows of a batch that this rank computes."""
        if self.count == 1:
            return mixed
        rows = self.of(len(mixed.y_BK))
        return replace(mixed, x_B=mixed.x_B[rows], y_BK=mixed.y_BK[rows])

    def together(self, network: nn.Module, device: torch.device) -> nn.Module:
        """The network as all ranks train it: its normalisations see the whole batch, its gradients are the same.

        They are means over ranks: the loss of a share has to be `count` times its part of the whole batch's.

        Raises:
            NormError: a normalisation of the network cannot see the whole batch.
        """
        if self.count == 1:
            return network
        across_ranks(network, device)
        # All ranks have the same statistics already: there is nothing to broadcast.
        options: dict[str, Any] = {_BROADCAST: False}
        return DistributedDataParallel(network, gradient_as_bucket_view=True, **options)

    def add(self, part: Tensor) -> Tensor:
        """The sum over ranks, in a tensor of its own."""
        total = part.clone()
        if self.count > 1:
            dist.all_reduce(total)
        return total

    def joined(self, part_N: Tensor, size: int) -> Tensor:
        """All `size` rows from what each rank has of them by `of`."""
        if self.count == 1:
            return part_N
        # Of one length: not every backend gathers parts of several.
        padded_N = part_N.new_zeros((-(-size // self.count), *part_N.shape[1:]))
        padded_N[: len(part_N)] = part_N
        parts = [torch.empty_like(padded_N) for _ in range(self.count)]
        dist.all_gather(parts, padded_N)
        rows = (replace(self, rank=rank).of(size) for rank in range(self.count))
        return torch.cat([part[: r.stop - r.start] for part, r in zip(parts, rows, strict=True)])

    def agreed(self, batches: int) -> int:
        """How many batches come next, as the leader says.

        Raises:
            RanksError: a process of the run has ended.
        """
        if self.count == 1:
            return batches
        self._check()
        return self.same(batches)

    def same(self, thing: Any) -> Any:
        """What the leader has."""
        if self.count == 1:
            return thing
        box = [thing]
        dist.broadcast_object_list(box, 0, device=torch.device("cpu"))
        return box[0]

    def _check(self) -> None:
        for number, follower in enumerate(self.followers, 1):
            if follower.poll() is not None:
                raise RanksError(
                    f"Process {number} of the {self.count - 1} that train with this one has ended with status "
                    f"{follower.returncode}; what it wrote says why."
                )


def device_of(rank: int, count: int, device: torch.device) -> torch.device:
    """The device of a rank: each has a GPU of its own, a CPU they share.

    Raises:
        DeviceError: there are fewer GPUs than ranks.
    """
    if count == 1 or device.type != "cuda":
        return device
    if (there := torch.cuda.device_count()) < count:
        raise DeviceError(f"devices: {count} was asked for, but PyTorch sees {there} GPUs here.")
    return torch.device("cuda", rank)


@contextmanager
def leading(spec: Spec, device: torch.device, home: DataHome) -> Iterator[Ranks]:
    """The ranks of a run in this process and as many more as `spec.devices` asks for, which are gone afterwards.

    Raises:
        DeviceError: there are fewer GPUs than that.
        RanksError: this process is one of several already.
    """
    if spec.devices == 1:
        yield Ranks()
        return
    device_of(0, spec.devices, device)
    if dist.is_initialized():
        raise RanksError("This process trains on several devices already; close that run before the next.")
    store = TCPStore("127.0.0.1", 0, spec.devices, is_master=True, wait_for_workers=False)
    with ExitStack() as stack:
        followers = []
        for rank in range(1, spec.devices):
            followers.append(_start(_Orders(rank, spec, str(device), home, store.port)))
            stack.callback(_end, followers[-1])
        with _joined(store, 0, spec.devices, device):
            yield Ranks(0, spec.devices, followers)


@dataclass(frozen=True)
class _Orders:
    """What a follower is told when it starts."""

    rank: int
    spec: Spec
    device: str
    home: DataHome
    port: int

    def write(self) -> bytes:
        told = asdict(self) | {"spec": self.spec.model_dump(mode="json")}
        return json.dumps(told, default=str).encode() + b"\n"


def _start(orders: _Orders) -> "subprocess.Popen[bytes]":
    """A follower; it dies with this process, whose end of its standard input then closes."""
    process = subprocess.Popen([sys.executable, "-m", "ncmix.follow"], stdin=subprocess.PIPE)
    if process.stdin:
        process.stdin.write(orders.write())
        process.stdin.flush()
    return process


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    if process.stdin:
        process.stdin.close()


@contextmanager
def following(rank: int, count: int, port: int, device: torch.device) -> Iterator[Ranks]:
    """The ranks of a run that another process leads, which waits at `port`."""
    store = TCPStore("127.0.0.1", port, count, is_master=False)
    with _joined(store, rank, count, device):
        yield Ranks(rank, count)


@contextmanager
def _joined(store: Store, rank: int, count: int, device: torch.device) -> Iterator[None]:
    # Messages go by gloo on any machine, gradients from GPU to GPU.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    own = device_of(rank, count, device)
    if own.type == "cuda":
        torch.cuda.set_device(own)
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    dist.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=_PATIENCE)
    try:
        yield
    finally:
        dist.destroy_process_group()
