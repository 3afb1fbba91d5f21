"""Where the values of a random sweep come from: a range or a list for each field, a number from [0, 1) for each draw.

Only `random.Random.random` is used, whose numbers are the same in every version of Python.
"""

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ncmix.spec.parts import Part, by_kind, listed

# Digits kept of a drawn number: what logarithms of different machines do not agree in is behind them.
_DIGITS = 6


class Choice(Part):
    """Each of `values` equally often; a value may be a whole part, such as {kind: mixup, alpha: 1.0}."""

    kind: Literal["choice"] = "choice"
    values: Annotated[tuple[Any, ...], listed, Field(min_length=1)]

    def at(self, u: float) -> Any:
        """The value that u in [0, 1) stands for."""
        return self.values[int(u * len(self.values))]


class _Range(Part):
    low: float
    high: float

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low must be below high, but {self.low:g} is not below {self.high:g}")
        return self


class Uniform(_Range):
    """Between `low` and `high`, everywhere equally often."""

    kind: Literal["uniform"] = "uniform"

    def at(self, u: float) -> float:
        """The value that u in [0, 1) stands for."""
        return _rounded(self.low + u * (self.high - self.low))


class LogUniform(_Range):
    """Between `low` and `high`, the logarithm everywhere equally often: for what matters by factors."""

    kind: Literal["log_uniform"] = "log_uniform"
    low: Annotated[float, Field(gt=0)]

    def at(self, u: float) -> float:
        """The value that u in [0, 1) stands for."""
        return _rounded(math.exp(math.log(self.low) + u * (math.log(self.high) - math.log(self.low))))


class Integer(Part):
    """A whole number from `low` to `high`, both of them included."""

    kind: Literal["integer"] = "integer"
    low: Annotated[int, Field(ge=-(2**31), lt=2**31)]
    high: Annotated[int, Field(ge=-(2**31), lt=2**31)]

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low must not be above high, but {self.low} is above {self.high}")
        return self

    def at(self, u: float) -> int:
        """The value that u in [0, 1) stands for."""
        return self.low + int(u * (self.high - self.low + 1))


Draw = Annotated[Choice | Uniform | LogUniform | Integer, by_kind[0]]


def _rounded(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")
