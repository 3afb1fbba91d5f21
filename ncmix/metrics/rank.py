"""How many directions the features use."""

import torch

from ncmix.metrics.common import require_features
from ncmix.stats import Statistics, UndefinedError


def effective_rank(s: Statistics) -> float:
    """exp(−Σ q ln q), q the singular values, over their sum, of the features less their mean (Roy & Vetterli 2007).

    The mean is over samples, not over classes: labels play no part. From 1 to min(N−1, D).
    """
    require_features(s)
    if s.spread is None:
        raise UndefinedError("the singular values were not asked for")
    total_R = s.spread.total
    if total_R.square().sum().sqrt() <= s.means.sample_noise:
        raise UndefinedError("all features coincide")
    share_R = total_R / total_R.sum()
    return float(torch.special.entr(share_R).sum().exp())
