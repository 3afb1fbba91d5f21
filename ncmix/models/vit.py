"""The vision transformer: patches as tokens, a class token whose last state is the feature.

Source: Dosovitskiy et al. 2021, "An Image is Worth 16x16 Words"; without dropout.

Shapes: B batch, T tokens, D their dimension, H attention heads.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, scaled_dot_product_attention

from ncmix.models.body import Body
from ncmix.spec import Vit

# The published hidden layers are four times as wide as the tokens, and normalisation adds this to the variance.
_EXPANSION, _EPSILON = 4, 1e-6


def vit(model: Vit, shape: tuple[int, ...]) -> Body:
    """One block a stage; the patch and position embeddings belong to the first."""
    embedding = _Embedding(shape, model.patch, model.dim)
    first, *later = (_Block(model.dim, model.heads) for _ in range(model.depth))
    return Body([nn.Sequential(embedding, first), *later], _ClassToken(model.dim), model.dim)


class _Embedding(nn.Module):
    """(B, C, H, W) → (B, 1 + patches, D): the class token, then the patches; zeros fill up the last row and column."""

    def __init__(self, shape: tuple[int, ...], patch: int, dim: int) -> None:
        super().__init__()
        channels, height, width = shape
        self.fill = (0, -width % patch, 0, -height % patch)
        count = math.ceil(height / patch) * math.ceil(width / patch)
        self.patches = nn.Conv2d(channels, dim, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, dim))
        self.position = nn.Parameter(torch.empty(1, 1 + count, dim).normal_(std=0.02))
        nn.init.trunc_normal_(self.patches.weight, std=(channels * patch**2) ** -0.5)
        nn.init.zeros_(self.patches.get_parameter("bias"))

    def forward(self, x_B: Tensor) -> Tensor:
        patches_BTD = self.patches(pad(x_B, self.fill)).flatten(2).transpose(1, 2)
        return torch.cat([self.token.expand(len(x_B), -1, -1), patches_BTD], 1) + self.position


class _Block(nn.Module):
    """Attention, then a hidden layer; each reads normalised tokens and adds to them."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.attention = nn.LayerNorm(dim, _EPSILON), _Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, _EPSILON)
        self.hidden = nn.Sequential(_linear(dim, _EXPANSION * dim), nn.GELU(), _linear(_EXPANSION * dim, dim))

    def forward(self, x_BTD: Tensor) -> Tensor:
        x_BTD = x_BTD + self.attention(self.norm1(x_BTD))
        return x_BTD + self.hidden(self.norm2(x_BTD))


class _Attention(nn.Module):
    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.read, self.out = nn.Linear(dim, 3 * dim), _linear(dim, dim)
        nn.init.zeros_(self.read.bias)
        for map_DD in self.read.weight.detach().chunk(3):
            nn.init.xavier_uniform_(map_DD)

    def forward(self, x_BTD: Tensor) -> Tensor:
        query, key, value = (self._split(part_BTD) for part_BTD in self.read(x_BTD).chunk(3, dim=2))
        return self.out(scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))

    def _split(self, x_BTD: Tensor) -> Tensor:
        """(B, T, D) → (B, H, T, D/H)."""
        return x_BTD.unflatten(2, (self.heads, -1)).transpose(1, 2)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class _ClassToken(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim, _EPSILON)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return self.norm(x_BTD[:, 0])
