"""What the network and the nearest class mean decide, and how sure the network is."""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn.functional import softplus

from ncmix.stats.chunks import UndefinedError
from ncmix.stats.means import ClassMeans
from ncmix.stats.rows import squared_norms
from ncmix.stats.temperature import Leads, best_temperature, doubts

# e^-80 is nothing beside the largest term, 1; what is smaller is denormal and slow.
_NOTHING = -80.0

# So would its square be, but for this factor, with which the squares of 65,000 ones still have a sum in float32.
_LIFT = 2.0**56


@dataclass(frozen=True, eq=False)
class Decisions:
    """The decisions on all samples of a split.

    Attributes:
        correct, nearest_correct: samples that the network, and the nearest class mean, get right.
        disagreements: samples on which the two differ.
        nll, brier: sums over all samples of −ln p_y and of Σ_k (p_k − [k = y])², p = softmax(z); brier is NaN if
            calibration was not asked for.
        doubt_N: 1 − max_k p_k, with all its digits where it is tiny; None if calibration was not asked for.
        wrong_N: whether argmax z ≠ y; None likewise.
        leads: z_k − z_y, to fit a temperature; None if that was not asked for.
    """

    correct: int
    nearest_correct: int
    disagreements: int
    nll: float
    brier: float
    doubt_N: Tensor | None
    wrong_N: Tensor | None
    leads: Leads | None

    @cached_property
    def temperature(self) -> float:
        """The best temperature of the held-back half.

        Raises:
            UndefinedError: none is best, or it was not asked for.
        """
        return best_temperature(self._halves[0])

    @cached_property
    def scaled(self) -> tuple[Tensor, Tensor]:
        """Doubts and mistakes as `doubt_N`, `wrong_N`, of the other half at that temperature.

        Raises:
            UndefinedError: as `temperature`.
        """
        temperature = self.temperature
        return doubts(self._halves[1] / temperature)

    @property
    def _halves(self) -> tuple[Tensor, Tensor]:
        if self.leads is None:
            raise UndefinedError("a temperature was not asked for")
        return self.leads.halves


class Judge:
    """Adds up decisions block by block, on the device of the logits; nothing waits for it."""

    def __init__(self, means: ClassMeans, calibration: bool, leads: Leads | None) -> None:
        self.calibration, self.leads = calibration, leads
        device, samples = means.mean_KD.device, means.samples if calibration else 0
        self.hits = torch.zeros(3, dtype=torch.int64, device=device)
        self.nll_brier = torch.zeros(2, dtype=torch.float64, device=device)
        # Whole from the start: small pieces kept between large ones that come and go would leave holes in memory.
        self.doubt_N = torch.zeros(samples, dtype=means.dtype, device=device)
        self.wrong_N = torch.zeros(samples, dtype=torch.bool, device=device)
        self.seen = 0

    def add(self, z_BK: Tensor, nearest_B: Tensor, y_B: Tensor) -> None:
        """Logits, the nearest class means and labels; overwrites z."""
        top_B1, guess_B1 = z_BK.max(1, keepdim=True)
        guess_B = guess_B1[:, 0]
        wrong_B = guess_B != y_B
        self.hits += torch.stack([(~wrong_B).sum(), (nearest_B == y_B).sum(), (guess_B != nearest_B).sum()])
        if self.leads:
            self.leads.add(z_BK, y_B)
        gap_B = (z_BK.gather(1, y_B[:, None]) - top_B1)[:, 0]
        e_BK = z_BK.sub_(top_B1).clamp_(min=_NOTHING).exp_()
        # Sums without the largest term, which is 1: where the network is sure, all that matters is in the others.
        rest_B = e_BK.scatter_(1, guess_B1, 0.0).sum(1)
        own_B = gap_B.clamp(min=_NOTHING).exp()
        others_B = torch.where(wrong_B, 1 + rest_B - own_B, rest_B)
        # ln(1 + Σ_{k≠y} e^{z_k − z_y}); ln Σe^z − z_y would be all rounding where it is tiny.
        self.nll_brier[0] += softplus(others_B.log() - gap_B).sum(dtype=torch.float64)
        if self.calibration:
            self.nll_brier[1] += _brier(e_BK, wrong_B, own_B, rest_B, others_B).sum()
            rows = slice(self.seen, self.seen + len(y_B))
            self.doubt_N[rows], self.wrong_N[rows] = rest_B / (1 + rest_B), wrong_B
            self.seen = rows.stop

    def decisions(self) -> Decisions:
        """All of them; the one time that the host waits."""
        correct, nearest_correct, disagreements = self.hits.tolist()
        nll, brier = self.nll_brier.tolist()
        return Decisions(
            correct=correct,
            nearest_correct=nearest_correct,
            disagreements=disagreements,
            nll=nll,
            brier=brier if self.calibration else float("nan"),
            doubt_N=self.doubt_N if self.calibration else None,
            wrong_N=self.wrong_N if self.calibration else None,
            leads=self.leads,
        )


def _brier(e_BK: Tensor, wrong_B: Tensor, own_B: Tensor, rest_B: Tensor, others_B: Tensor) -> Tensor:
    """Σ_k (p_k − [k = y])² of every sample, in float64 (B,), from the sums that `Judge.add` has; overwrites e."""
    own_B, others_B = own_B.to(torch.float64), others_B.to(torch.float64)
    square_B = squared_norms(e_BK.mul_(_LIFT)) / _LIFT**2
    square_B = torch.where(wrong_B, 1 + square_B - own_B.square(), square_B)
    # p_y − 1 is minus the sum of the other p_k.
    return (square_B + others_B.square()) / (1 + rest_B).square()
