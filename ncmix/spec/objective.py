"""What is minimised, and on which mixtures of examples."""

from typing import Annotated, Literal

from pydantic import Field

from ncmix.spec.parts import Part, by_kind


class CrossEntropy(Part):
    """−Σ y_k log p_k with soft targets y."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Mse(Part):
    """(1/K) Σ (z_k − scale·y_k)² with soft targets y (Zhou et al. 2022 use scale 15)."""

    kind: Literal["mse"] = "mse"
    scale: Annotated[float, Field(gt=0)] = 1.0


class NoMix(Part):
    """Empirical risk minimisation: every example as it is."""

    kind: Literal["none"] = "none"


class Mixup(Part):
    """x = λx_i + (1−λ)x_j, y = λy_i + (1−λ)y_j, λ ~ Beta(alpha, alpha) (Zhang et al. 2018). Inputs are mixed."""

    kind: Literal["mixup"] = "mixup"
    alpha: Annotated[float, Field(gt=0)] = 1.0
    lam: Literal["per_batch", "per_sample"] = "per_batch"
    pairs: Literal["any", "same_class", "different_class"] = "any"


Loss = Annotated[CrossEntropy | Mse, *by_kind]
Mix = Annotated[NoMix | Mixup, *by_kind]
