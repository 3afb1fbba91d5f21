"""How the weights move: the optimizer and the learning rate over the epochs."""

import math
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from ncmix.spec.parts import Part, by_kind, listed

Rate = Annotated[float, Field(gt=0)]
Decay = Annotated[float, Field(ge=0)]
Momentum = Annotated[float, Field(ge=0, lt=1)]


class Sgd(Part):
    """v ← momentum·v + g (+ weight_decay·w if coupled), w ← w − lr·v; decoupled decay first shrinks w by
    1 − lr·weight_decay.
    """

    kind: Literal["sgd"] = "sgd"
    lr: Rate = 0.0679
    momentum: Momentum = 0.9
    nesterov: bool = False
    weight_decay: Decay = 5e-4
    decoupled: bool = False

    @model_validator(mode="after")
    def _nesterov_needs_momentum(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise ValueError("nesterov: true needs a momentum above 0, not 0")
        return self


class Adam(Part):
    """Adam with the decay added to the gradient (Kingma & Ba 2015)."""

    kind: Literal["adam"] = "adam"
    lr: Rate = 1e-3
    betas: Annotated[tuple[Momentum, Momentum], listed] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: Decay = 0.0


class AdamW(Part):
    """Adam with decoupled decay (Loshchilov & Hutter 2019)."""

    kind: Literal["adamw"] = "adamw"
    lr: Rate = 1e-3
    betas: Annotated[tuple[Momentum, Momentum], listed] = (0.9, 0.999)
    eps: Rate = 1e-8
    weight_decay: Decay = 0.01


def _milestone(value: float) -> float:
    if isinstance(value, float) and not 0 < value < 1:
        raise ValueError(f"a milestone is a whole epoch or a share of all epochs between 0 and 1, not {value}")
    if isinstance(value, int) and value < 1:
        raise ValueError(f"a milestone in epochs is at least 1, not {value}")
    return value


Milestone = Annotated[
    int | float,
    AfterValidator(_milestone),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            ]
        }
    ),
]
Warmup = Annotated[int, Field(ge=0)]


class MultiStep(Part):
    """lr times `gamma` from each milestone on; milestones in epochs (whole numbers) or shares of all epochs."""

    kind: Literal["multistep"] = "multistep"
    milestones: Annotated[tuple[Milestone, ...], listed] = (0.333, 0.667)
    gamma: Annotated[float, Field(gt=0)] = 0.1
    warmup_epochs: Warmup = 0

    def at(self, epochs: int) -> tuple[int, ...]:
        """The epochs done when the rate changes in a run of `epochs`: shares are rounded down, but never to zero."""
        # 0.29 · 100 is 28.999999999999996 in floating point and means 29.
        return tuple(m if isinstance(m, int) else max(1, math.floor(m * epochs + 1e-9)) for m in self.milestones)


class Cosine(Part):
    """Half a cosine from lr to `final`·lr over all epochs (Loshchilov & Hutter 2017), after a linear warm-up."""

    kind: Literal["cosine"] = "cosine"
    final: Annotated[float, Field(ge=0, le=1)] = 0.0
    warmup_epochs: Warmup = 0


class Constant(Part):
    """The same lr throughout, after a linear warm-up."""

    kind: Literal["constant"] = "constant"
    warmup_epochs: Warmup = 0


Optimizer = Annotated[Sgd | Adam | AdamW, *by_kind]
Schedule = Annotated[MultiStep | Cosine | Constant, *by_kind]
