"""How the weights move: optimizers built from the spec, and the learning rate of every step.

Weight decay acts on every parameter, those of batch normalisation and biases included, as in the papers reproduced.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ncmix import spec
from ncmix.spec import Adam, AdamW, Constant, Cosine, MultiStep, Schedule, Sgd

Parameters = list[nn.Parameter]
T = TypeVar("T", bound=torch.optim.Optimizer)


def build(optimizer: spec.Optimizer, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that the spec names; `set_rate` says how far it goes at its next step."""
    parameters = list(parameters)
    built = OPTIMIZERS[optimizer.kind](optimizer, parameters)
    if on_gpu(parameters):
        # As a tensor, a recorded step reads what is there when it is replayed.
        for group in built.param_groups:
            group["lr"] = torch.tensor(group["lr"], device=parameters[0].device)
    return built


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """The learning rate of the next steps."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def load(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Go on from `state_dict` of an optimizer like this one; the rate stays where it is, and has to be set."""
    rates = [group["lr"] for group in optimizer.param_groups]
    optimizer.load_state_dict(dict(state))
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = rate


def on_gpu(parameters: Parameters) -> bool:
    """Whether all parameters are on a GPU."""
    return all(p.is_cuda for p in parameters)


def eager(kind: type[T]) -> type[T]:
    """The methods of this optimizer without PyTorch's marks for its compiler, which never meets it.

    To set its mark, the first call of a method imports the whole compiler: more than a second of every start.
    """
    for name in ("add_param_group", "load_state_dict", "state_dict", "zero_grad"):
        setattr(kind, name, inspect.unwrap(getattr(kind, name)))
    kind.step = torch.no_grad()(inspect.unwrap(kind.step))
    return kind


@eager
class EagerSgd(torch.optim.SGD):
    """PyTorch's, to the bit."""


@eager
class EagerAdam(torch.optim.Adam):
    """PyTorch's, to the bit."""


@eager
class EagerAdamW(torch.optim.AdamW):
    """PyTorch's, to the bit."""


class DecoupledSgd(EagerSgd):
    """SGD whose decay shrinks the weights, w ← (1 − lr·ω)w, before the step and never enters the momentum.

    (Loshchilov & Hutter 2019, Algorithm 1, with the decay scaled by the current lr as in AdamW.)
    """

    def __init__(
        self, params: Parameters, *, lr: float, momentum: float, nesterov: bool, decay: float, fused: bool
    ) -> None:
        super().__init__(params, lr=lr, momentum=momentum, nesterov=nesterov, fused=fused)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = decay

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # pyright: ignore[reportIncompatibleMethodOverride] - torch overloads it
        """Shrink, then step; parameters without a gradient keep still."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            moving = [p for p in group["params"] if p.grad is not None]
            if moving and group["decoupled_weight_decay"]:
                torch._foreach_mul_(moving, 1 - group["lr"] * group["decoupled_weight_decay"])  # pyright: ignore[reportPrivateImportUsage] - one kernel for all
        super().step()
        return loss


def _sgd(sgd: Sgd, parameters: Parameters) -> torch.optim.Optimizer:
    # On a CPU PyTorch's fused kernel is slower than its plain loop.
    shared = {"lr": sgd.lr, "momentum": sgd.momentum, "nesterov": sgd.nesterov, "fused": on_gpu(parameters)}
    if sgd.decoupled:
        return DecoupledSgd(parameters, **shared, decay=sgd.weight_decay)
    return EagerSgd(parameters, **shared, weight_decay=sgd.weight_decay)


def _adam(adam: Adam, parameters: Parameters) -> torch.optim.Optimizer:
    return EagerAdam(parameters, **_adaptive(adam, parameters))


def _adamw(adam: AdamW, parameters: Parameters) -> torch.optim.Optimizer:
    return EagerAdamW(parameters, **_adaptive(adam, parameters))


def _adaptive(adam: Adam | AdamW, parameters: Parameters) -> dict[str, Any]:
    """Fused on every device: on a CPU, too, a third of the time of the plain loop."""
    numbers = adam.model_dump(include={"lr", "betas", "eps", "weight_decay"})
    return {**numbers, "fused": True, "capturable": on_gpu(parameters)}


OPTIMIZERS: dict[str, Callable[[Any, Parameters], torch.optim.Optimizer]] = {
    "sgd": _sgd,
    "adam": _adam,
    "adamw": _adamw,
}


def rate(schedule: Schedule, lr: float, epochs: int, steps_per_epoch: int, step: int) -> float:
    """The learning rate of step number `step`, counted from 0 over the whole run.

    Warm-up rises linearly by the step and reaches `lr` at its last one. Then `multistep` changes at the start of an
    epoch, `cosine` at every step of what is left of the run.
    """
    warmup = schedule.warmup_epochs * steps_per_epoch
    if step < warmup:
        return lr * (step + 1) / warmup
    return lr * SCHEDULES[schedule.kind](schedule, epochs, steps_per_epoch, step)


def _constant(schedule: Constant, epochs: int, steps_per_epoch: int, step: int) -> float:
    return 1.0


def _multistep(schedule: MultiStep, epochs: int, steps_per_epoch: int, step: int) -> float:
    passed = sum(step // steps_per_epoch >= epoch for epoch in schedule.at(epochs))
    return schedule.gamma**passed


def _cosine(schedule: Cosine, epochs: int, steps_per_epoch: int, step: int) -> float:
    warmup = schedule.warmup_epochs * steps_per_epoch
    done = min(1.0, (step - warmup) / max(1, epochs * steps_per_epoch - warmup))
    return schedule.final + (1 - schedule.final) * (1 + math.cos(math.pi * done)) / 2


SCHEDULES: dict[str, Callable[[Any, int, int, int], float]] = {
    "multistep": _multistep,
    "cosine": _cosine,
    "constant": _constant,
}
