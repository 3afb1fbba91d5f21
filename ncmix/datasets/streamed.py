"""Splits larger than the device's memory: batches are gathered on the host and sent ahead of their use.

Shapes: N samples, B a batch of them.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ncmix.datasets.base import Split

# Batches on their way at once, each gathered by a thread: reading at random from a disk wants several.
_AHEAD = 3


@dataclass(frozen=True)
class _Sent:
    """A batch on its way, and the event after which it has arrived (none on the CPU: it is there)."""

    x_B: Tensor
    copied: torch.cuda.Event | None = None


class Streamed(Split):
    """Samples of which only the labels and the next few batches are on the device."""

    def __init__(self, x_N: Tensor, kept_N: Tensor | None, y_N: Tensor, device: torch.device) -> None:
        """From inputs `x_N` in the host's memory or mapped from a file, of which only the rows `kept_N` count.

        Args:
            x_N: all inputs as published; they are read, never copied as a whole.
            kept_N: the rows this split consists of; None for all.
            y_N: the labels of those rows.
            device: where batches go.
        """
        self.x, self.kept, self.device = x_N, kept_N, device
        self.y = y_N.to(device)
        self._lane = torch.cuda.Stream(device) if device.type == "cuda" else None

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, H, W) or (D,)."""
        return tuple(self.x.shape[1:])

    def rows(self, index_B: Tensor) -> Tensor:
        """The inputs with these numbers, gathered now: batches come faster."""
        return self._arrived(self._fetch(self._source(index_B.cpu())))

    def batches(self, size: int, order_N: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Threads gather the batches that come next and send them beside what the device computes."""
        index_N = torch.arange(len(self)) if order_N is None else order_N.cpu()
        labels = self.y.split(size) if order_N is None else (self.y[index_B] for index_B in order_N.split(size))
        pool = ThreadPoolExecutor(_AHEAD, thread_name_prefix="ncmix-batches")
        try:
            coming = self._coming(pool, self._source(index_N).split(size))
            yield from zip(coming, labels, strict=True)
        finally:
            # Whoever stops in the middle waits for the batches in hand only.
            pool.shutdown(cancel_futures=True)

    def _coming(self, pool: ThreadPoolExecutor, sources: tuple[Tensor, ...]) -> Iterator[Tensor]:
        ahead: deque[Future[_Sent]] = deque()
        for source_B in sources:
            ahead.append(pool.submit(partial(self._fetch, source_B)))
            if len(ahead) > _AHEAD:
                yield self._arrived(ahead.popleft().result())
        while ahead:
            yield self._arrived(ahead.popleft().result())

    def _source(self, index_N: Tensor) -> Tensor:
        return index_N if self.kept is None else self.kept[index_N]

    def _fetch(self, source_B: Tensor) -> _Sent:
        """Gathered into pinned memory, which alone can be copied while the host goes on; plain memory for the CPU.

        PyTorch keeps the pinned block from being used again before the copy is done.
        """
        pinned = self._lane is not None
        host_B = torch.empty((len(source_B), *self.shape), dtype=self.x.dtype, pin_memory=pinned)
        torch.index_select(self.x, 0, source_B, out=host_B)
        if self._lane is None:
            return _Sent(host_B)
        copied = torch.cuda.Event()
        with torch.cuda.stream(self._lane):
            x_B = host_B.to(self.device, non_blocking=True)
            copied.record(self._lane)
        return _Sent(x_B, copied)

    def _arrived(self, sent: _Sent) -> Tensor:
        """What the device computes next waits for the batch; the host does not."""
        if sent.copied is not None:
            current = torch.cuda.current_stream(self.device)
            current.wait_event(sent.copied)
            sent.x_B.record_stream(current)
        return sent.x_B
