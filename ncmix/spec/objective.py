"""What is minimised, and on which mixtures of examples."""

from typing import Annotated, Literal

from pydantic import Field

from ncmix.spec.parts import Part, by_kind

Positive = Annotated[float, Field(gt=0)]


class CrossEntropy(Part):
    """−Σ y_k log p_k with soft targets y."""

    kind: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0


class Mse(Part):
    """(1/K) Σ (z_k − scale·y_k)² with soft targets y (Zhou et al. 2022 use scale 15)."""

    kind: Literal["mse"] = "mse"
    scale: Positive = 1.0


class RescaledMse(Part):
    """(1/K) [kappa·(z_t − margin)² + Σ_{j≠t} z_j²], averaged over t with the weights y (Hui & Belkin 2021)."""

    kind: Literal["rescaled_mse"] = "rescaled_mse"
    kappa: Positive = 1.0
    margin: Positive = 1.0


class Focal(Part):
    """−Σ y_k (1 − p_k)^gamma log p_k (Lin et al. 2017, for softmax); gamma 0 is cross-entropy."""

    kind: Literal["focal"] = "focal"
    gamma: Annotated[float, Field(ge=0)] = 3.0


class Squentropy(Part):
    """Cross-entropy plus the mean square of the other classes' logits (Hui, Belkin, Wright 2023)."""

    kind: Literal["squentropy"] = "squentropy"


class Bce(Part):
    """Σ_k [softplus(z_k) − y_k z_k]: for every class its own yes or no."""

    kind: Literal["bce"] = "bce"


class Mae(Part):
    """(1/K) Σ (1 + (kappa − 1) y_k)·|p_k − y_k| (Ghosh, Kumar, Sastry 2017); kappa weighs the true class."""

    kind: Literal["mae"] = "mae"
    kappa: Positive = 1.0


class SmoothL1(Part):
    """(1/K) Σ d²/(2·beta) where d = |z_k − y_k| is below beta, d − beta/2 where it is not (Girshick 2015)."""

    kind: Literal["smooth_l1"] = "smooth_l1"
    beta: Positive = 1.0


class DotRegression(Part):
    """Pulls ⟨h, w_t⟩ to √(e_w·e_h) at lengths ‖h‖² = e_h, ‖w‖² = e_w; for the `etf` head (Yang et al. 2022)."""

    kind: Literal["dot_regression"] = "dot_regression"
    e_w: Positive = 1.0
    e_h: Positive = 1.0


class SupCon(Part):
    """Supervised contrastive on normalised features (Khosla et al. 2020), among the batch; W and b are not trained."""

    kind: Literal["supcon"] = "supcon"
    temperature: Positive = 0.1


class NoMix(Part):
    """Empirical risk minimisation: every example as it is."""

    kind: Literal["none"] = "none"


class Pairwise(Part):
    """Each sample meets a partner of the batch: λ ~ Beta(alpha, alpha), one a batch or one a sample."""

    alpha: Positive = 1.0
    lam: Literal["per_batch", "per_sample"] = "per_batch"
    pairs: Literal["any", "same_class", "different_class"] = "any"


class Mixup(Pairwise):
    """x = λx_i + (1−λ)x_j, y = λy_i + (1−λ)y_j, λ ~ Beta(alpha, alpha) (Zhang et al. 2018). Inputs are mixed."""

    kind: Literal["mixup"] = "mixup"


class ManifoldMixup(Pairwise):
    """Mixup of the inputs or of what a random stage gives, another every step (Verma et al. 2019)."""

    kind: Literal["manifold_mixup"] = "manifold_mixup"
    alpha: Positive = 2.0


class CutMix(Pairwise):
    """A box of the partner's picture is pasted in; λ is the share of area that is left (Yun et al. 2019)."""

    kind: Literal["cutmix"] = "cutmix"


class RegMixup(Pairwise):
    """The clean and the mixed batch in one, the mean of both losses (Pinto et al. 2022); λ near ½ by a large alpha."""

    kind: Literal["regmixup"] = "regmixup"
    alpha: Positive = 10.0


class LabelOnly(Pairwise):
    """Labels are mixed and inputs are not: no mixup, but in expectation label smoothing of ½. For ablation."""

    kind: Literal["label_only"] = "label_only"


Loss = Annotated[
    CrossEntropy | Mse | RescaledMse | Focal | Squentropy | Bce | Mae | SmoothL1 | DotRegression | SupCon, *by_kind
]
Mix = Annotated[NoMix | Mixup | ManifoldMixup | CutMix | RegMixup | LabelOnly, *by_kind]
