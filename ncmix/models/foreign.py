"""Any model of timm, untrained: nothing is ever downloaded.

Shapes: B batch, D feature dimension; inputs of `shape` (C, H, W).
"""

from typing import Any

import torch
from torch import Tensor, nn

from ncmix.errors import NcmixError
from ncmix.models.body import Body
from ncmix.spec import Timm


class ModelError(NcmixError, ValueError):
    """The model cannot be built for such inputs; the message is a sentence."""


def timm(model: Timm, shape: tuple[int, ...]) -> Body:
    """A model without stages: it can be blended at the input only.

    Raises:
        ModelError: this version of timm does not know the name, or the model does not take inputs of `shape`.
    """
    # Here, not above: it takes seconds to load, and few experiments need it.
    from timm import create_model, is_model  # noqa: PLC0415

    if not is_model(model.name):
        raise ModelError(f"The timm that is installed here has no model {model.name!r}.")
    try:
        options: dict[str, Any] = {"in_chans": shape[0], **_size(model.name, shape)}
        features = _Features(create_model(model.name, pretrained=False, num_classes=0, **options))
        dim = _dim(features, shape)
    # Whatever a foreign constructor or its first pass may raise for sizes it was not made for.
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"timm's {model.name} does not work with inputs of shape {shape}: {reason}") from error
    return Body([], features, dim)


class _Features(nn.Module):
    """What the model's own classifier would read, by timm's own interface."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, x_B: Tensor) -> Tensor:
        return self.model.forward_head(self.model.forward_features(x_B), pre_logits=True)


def _size(name: str, shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
    """The image size, for those models that have to know it."""
    from timm import get_pretrained_cfg  # noqa: PLC0415

    known = get_pretrained_cfg(name)
    return {"img_size": shape[1:]} if known and known.fixed_input_size else {}


def _dim(features: nn.Module, shape: tuple[int, ...]) -> int:
    """D, of a trial: what timm says of it is not the same for all models."""
    with torch.no_grad():
        h_BD = features.eval()(torch.zeros(2, *shape))
    features.train()
    if h_BD.ndim != 2:
        raise ValueError(f"its features have the shape {tuple(h_BD.shape[1:])}, not one dimension")
    return h_BD.shape[1]
