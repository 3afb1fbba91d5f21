"""What a GPU can do beyond running kernels one by one: the network compiled, a whole step replayed as one graph.

A step of a small network is hundreds of kernels that take microseconds each: the host cannot launch them fast enough.
Nothing here changes what is computed; on the CPU nothing is done at all.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ncmix.spec import Spec
from ncmix.stepping import Moving

_LOG = logging.getLogger(__name__)

Forward = Callable[..., tuple[Tensor, Tensor]]
"""(x_B, blend) → features and logits: the network, or the network compiled."""

Tensors = tuple[Tensor, ...]

Step = Callable[[Forward, Tensors, int], None]
"""(network, what the step reads, place of blending) → nothing: all it finds stays where it was.

It reads nothing back to the host, and of the host only the place.
"""

Accelerated = Callable[[Step, Tensors, int], None]
"""Makes a step, always the same one, on these tensors; the first of them holds the inputs of the batch."""

Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Records the kernels of a function without running them → what runs them."""

Mode = Literal["plain", "graph", "compiled"]

# Batches of a run from which on compiling pays: it takes about a minute, and saves some 0.3 ms a batch.
_COMPILED_FROM = 50_000

# Kernels that do not depend on each other are launched as one: ResNet-18 has dozens of a microsecond each.
_COMBINED: dict[str, Any] = {"combo_kernels": True}

# Batches before a step is recorded: cuDNN and the allocator choose and allocate what they need in the first ones.
_WARM_UP = 5


def mode(spec: Spec, device: torch.device, steps: int) -> Mode:
    """How a run of `steps` batches is best made on `device`.

    A compiler may reorder sums, so not if `deterministic`, and would have to compile every place of blending.
    """
    if spec.compile == "off" or spec.devices > 1 or device.type != "cuda":
        return "plain"
    pays = steps >= _COMPILED_FROM and spec.mix.kind != "manifold_mixup"
    return "compiled" if pays and not spec.deterministic else "graph"


def build(network: nn.Module, mode: Mode, moving: Moving) -> Accelerated:
    """What makes the steps of the network, which change what is `moving`, as fast as the mode allows."""
    if mode == "plain":
        return lambda step, tensors, place: step(network, tensors, place)
    forward = compiled(network) if mode == "compiled" else network
    return Recorded(network, forward, moving, partial(record, generator=moving.generator))


def compiled(network: nn.Module) -> Forward:
    """The network compiled, for batches of one shape, when it is first called."""
    return torch.compile(network, dynamic=False, options=_COMBINED)


def record(function: Callable[[], None], generator: torch.Generator) -> Callable[[], None]:
    """A CUDA graph of the kernels that `function` launches. Threads that send data meanwhile do not disturb it.

    A replay draws from the generator what the function would have drawn.
    """
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        function()
    return graph.replay


class ReplayError(RuntimeError):
    """A recording does not do what was recorded."""


class Recorded:
    """Replays one recording for all batches of the usual shape; the last of an epoch may run kernel by kernel.

    What fails is done without: a compiler that does, or whose network replays otherwise, or else recordings.

    For each place of blending there is a recording of its own: a recording has no branches. Each keeps the memory that
    it needs; where there is too little for all of them, none is kept.
    """

    def __init__(self, network: nn.Module, forward: Forward, moving: Moving, recorder: Recorder) -> None:
        """For steps of `network`, which are recorded of `forward`, the network itself or compiled."""
        self._network, self._forward, self._moving, self._recorder = network, forward, moving, recorder
        self._broken = False
        self._begin(())

    def _begin(self, tensors: Tensors) -> None:
        """Forget all recordings: from now on these shapes are the usual ones."""
        self._inputs = tuple(torch.empty_like(t) for t in tensors)
        self._batches = 0
        self._replays: dict[int, Callable[[], None]] = {}

    def __call__(self, step: Step, tensors: Tensors, place: int) -> None:
        """Make a step on these."""
        if self._broken or not self._usual(tensors):
            step(self._network, tensors, place)
        elif place in self._replays:
            self._replay(tensors, place)
        else:
            self._prepare(step, tensors, place)

    def _prepare(self, step: Step, tensors: Tensors, place: int) -> None:
        """A step like any other: the first ones warm up, the next of each place is recorded."""
        state, warming = self._moving.generator.get_state(), self._batches < _WARM_UP
        statistics = [buffer.clone() for buffer in self._network.buffers()] if warming else None
        try:
            if warming:
                self._warm_up(step, tensors, place)
            else:
                self._record(step, place)
                self._compare(step, tensors, place)
        except Exception as error:  # compilers and drivers raise anything, and training can do without them
            if warming and isinstance(error, torch.OutOfMemoryError):
                raise  # what is too large for a step is too large for a plain one
            self._give_up(error, warming or isinstance(error, ReplayError))
            if not isinstance(error, ReplayError):
                _rewind(self._moving.generator, state)
                self._restore(statistics)
                step(self._network, tensors, place)

    def _restore(self, statistics: list[Tensor] | None) -> None:
        """A forward pass has moved these when its backward pass fails to compile; a recording has moved nothing."""
        if statistics is not None:
            for buffer, was in zip(self._network.buffers(), statistics, strict=True):
                buffer.copy_(was)

    def _usual(self, tensors: Tensors) -> bool:
        """The largest batches are the usual ones; a run may be resumed at a small one."""
        if not self._inputs or len(tensors[0]) > len(self._inputs[0]):
            self._begin(tensors)
        return len(tensors[0]) == len(self._inputs[0])

    def _warm_up(self, step: Step, tensors: Tensors, place: int) -> None:
        """A step like any other, on a stream of its own as recording needs it."""
        self._batches += 1
        if not tensors[0].is_cuda:
            step(self._forward, tensors, place)
            return
        lane, current = torch.cuda.Stream(tensors[0].device), torch.cuda.current_stream(tensors[0].device)
        lane.wait_stream(current)
        try:
            with torch.cuda.stream(lane):
                step(self._forward, tensors, place)
        finally:
            current.wait_stream(lane)
        for tensor in (*tensors, *(p.grad for p in self._network.parameters() if p.grad is not None)):
            tensor.record_stream(current)

    def _record(self, step: Step, place: int) -> None:
        for parameter in self._network.parameters():
            parameter.grad = None  # recorded gradients live in the recording's own memory
        self._replays[place] = self._recorder(partial(step, self._forward, self._inputs, place))

    def _compare(self, step: Step, tensors: Tensors, place: int) -> None:
        """Make the step both ways.

        Raises:
            ReplayError: they come to different ends, or cannot be compared; the step that was not recorded has been
                made.
        """
        before = self._moving.take()
        try:
            self._replay(tensors, place)
            replayed = self._moving.take()
        finally:
            self._moving.put(before)
        step(self._forward, tensors, place)
        try:
            alike = self._moving.alike(before, replayed)
        except RuntimeError as error:  # it takes memory
            raise ReplayError(f"a replayed step cannot be compared: {error}") from error
        if not alike:
            raise ReplayError(f"a replayed step is off by {self._moving.difference(before, replayed):.0%}")

    def _replay(self, tensors: Tensors, place: int) -> None:
        for read, given in zip(self._inputs, tensors, strict=True):
            read.copy_(given)
        self._replays[place]()

    def _give_up(self, error: Exception, recordable: bool) -> None:
        """Go on without the compiler, if there is one and things can be `recordable` yet; or else kernel by kernel.

        A recording that was broken off can leave the allocator in a state in which no other should begin.
        """
        plainly = recordable and self._forward is not self._network
        self._forward, self._broken = self._network, not plainly
        self._begin(())
        how, reason = "without compiling" if plainly else "kernel by kernel", str(error).strip().splitlines()
        _LOG.warning("Training goes on %s: %s: %s", how, type(error).__name__, reason[0] if reason else "")


def _rewind(generator: torch.Generator, state: Tensor) -> None:
    """Set a generator's state; on a GPU that of a fresh one, as a recording that failed leaves it recording."""
    if generator.device.type != "cuda":
        generator.set_state(state)
        return
    fresh = torch.Generator(generator.device)
    fresh.set_state(state)
    generator.graphsafe_set_state(fresh)
