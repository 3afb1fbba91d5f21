"""What a GPU can do beyond running kernels one by one: the network compiled, a batch's kernels replayed as one graph.

A step of a small network is hundreds of kernels that take microseconds each: the host cannot launch them fast enough.
Nothing here changes what is computed; on the CPU nothing is done at all.

Shapes: B batch, K classes.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ncmix.mix import Mixed
from ncmix.spec import Spec

_LOG = logging.getLogger(__name__)

Forward = Callable[..., tuple[Tensor, Tensor]]
"""(x_B, blend) → features and logits: the network, or the network compiled."""

Result = tuple[Tensor, Tensor]
"""loss_B and z_BK, without gradients of their own."""

Gradients = Callable[[Forward, Mixed], Result]
"""Makes new gradients of all parameters and leaves them there; reads nothing back to the host."""

Accelerated = Callable[[Gradients, Mixed], Result]
"""The gradients of a batch; what comes of it lasts until the next call."""

Recorder = Callable[[Callable[[], Result]], tuple[Callable[[], None], Result]]
"""Records the kernels of a function without running them → what runs them, and the tensors it then fills."""

Mode = Literal["plain", "graph", "compiled"]

# Batches of a run from which on compiling pays: it takes about a minute, and saves some 0.3 ms a batch.
_COMPILED_FROM = 50_000

# Batches before a graph is recorded: cuDNN and the allocator choose and allocate what they need in the first ones.
_WARM_UP = 5


def mode(spec: Spec, device: torch.device, steps: int) -> Mode:
    """How a run of `steps` batches is best made on `device`; a compiler may reorder sums, so not if `deterministic`."""
    if spec.compile == "off" or spec.devices > 1 or device.type != "cuda":
        return "plain"
    return "compiled" if steps >= _COMPILED_FROM and not spec.deterministic else "graph"


def build(network: nn.Module, mode: Mode) -> Accelerated:
    """What runs a function of a batch, always the same one, as fast as the mode allows."""
    match mode:
        case "plain":
            return lambda gradients, mixed: gradients(network, mixed)
        case "graph":
            return Recorded(network, network, record)
        case "compiled":
            return Recorded(network, torch.compile(network, dynamic=False), record)


def record(function: Callable[[], Result]) -> tuple[Callable[[], None], Result]:
    """A CUDA graph of the kernels that `function` launches. Threads that send data meanwhile do not disturb it."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        result = function()
    return graph.replay, result


class Recorded:
    """Replays one recording for all batches of the usual shape; the last of an epoch may run kernel by kernel.

    Batches that are blended within the network do too: where that is changes with every step.
    """

    def __init__(self, network: nn.Module, compiled: Forward, recorder: Recorder) -> None:
        """For the gradients of `network`, which may be `compiled` where it is recorded."""
        self._network, self._forward, self._recorder = network, compiled, recorder
        self._parameters = list(network.parameters())
        self._batches = 0
        self._broken = False
        self._shape: torch.Size | None = None
        self._replay: Callable[[], None] | None = None

    def __call__(self, gradients: Gradients, mixed: Mixed) -> Result:
        """The gradients of this batch, and its losses and logits."""
        if self._broken or mixed.blend is not None or not self._usual(mixed):
            return gradients(self._network, mixed)
        try:
            if self._batches < _WARM_UP:
                return self._warm_up(gradients, mixed)
            if self._replay is None:
                self._record(gradients, mixed)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # compilers and drivers raise anything, and training can do without them
            self._give_up(error)
            return gradients(self._network, mixed)
        return self._replayed(mixed)

    def _usual(self, mixed: Mixed) -> bool:
        """The largest batches are the usual ones; a run may be resumed at a small one."""
        if self._shape is None or len(mixed.x_B) > self._shape[0]:
            self._shape, self._batches, self._replay = mixed.x_B.shape, 0, None
        return mixed.x_B.shape == self._shape

    def _warm_up(self, gradients: Gradients, mixed: Mixed) -> Result:
        """A batch like any other, on a stream of its own as recording needs it."""
        self._batches += 1
        if not mixed.x_B.is_cuda:
            return gradients(self._forward, mixed)
        lane, current = torch.cuda.Stream(mixed.x_B.device), torch.cuda.current_stream(mixed.x_B.device)
        lane.wait_stream(current)
        with torch.cuda.stream(lane):
            result = gradients(self._forward, mixed)
        current.wait_stream(lane)
        for tensor in (*result, *(p.grad for p in self._parameters if p.grad is not None)):
            tensor.record_stream(current)
        return result

    def _record(self, gradients: Gradients, mixed: Mixed) -> None:
        self._x_B, self._y_BK = mixed.x_B.clone(), mixed.y_BK.clone()
        for parameter in self._parameters:
            parameter.grad = None  # recorded gradients live in the recording's own memory
        replay, self._result = self._recorder(partial(gradients, self._forward, Mixed(self._x_B, self._y_BK)))
        self._grads = [p.grad for p in self._parameters]
        self._replay = replay

    def _replayed(self, mixed: Mixed) -> Result:
        self._x_B.copy_(mixed.x_B)
        self._y_BK.copy_(mixed.y_BK)
        if self._replay is not None:
            self._replay()
        # A batch of another shape may have left gradients elsewhere.
        for parameter, grad in zip(self._parameters, self._grads, strict=True):
            parameter.grad = grad
        return self._result

    def _give_up(self, error: Exception) -> None:
        self._broken, self._replay = True, None
        reason: Any = str(error).strip().splitlines()
        _LOG.warning("Training goes on without compiling: %s: %s", type(error).__name__, reason[0] if reason else "")
