"""`Nearest` finds the nearest class mean of deviations; a `Hint` from the logits spares it most of the distances."""

import pytest
import torch
from torch.nn.functional import normalize

from ncmix import metrics, stats
from ncmix.stats import rules
from ncmix.stats.nearest import Hint, Nearest

CLASSES, DIMENSION, SAMPLES = 80, 40, 4000


def scene(duality, spread=1.0, bias=0.0, seed=0):
    """Deviations and labels, centred means, a classifier that is 3 times as large and off by so much, and its bias."""
    g = torch.Generator().manual_seed(seed)
    m_KD = torch.randn(CLASSES, DIMENSION, generator=g)
    m_KD -= m_KD.mean(0)
    w_KD = 3 * m_KD + duality * torch.randn(CLASSES, DIMENSION, generator=g) + torch.randn(DIMENSION, generator=g)
    d_BD, y_B = spread * torch.randn(SAMPLES, DIMENSION, generator=g), torch.randint(CLASSES, (SAMPLES,), generator=g)
    return d_BD, y_B, m_KD, w_KD, bias * torch.randn(CLASSES, generator=g)


def nearest(m_KD, w_KD, b_K):
    """What finds the nearest of these means, with the hint that this classifier gives."""
    near_KK, logit_KK = torch.cdist(m_KD, m_KD).square(), m_KD @ w_KD.T + b_K
    return Nearest(near_KK, -2 * m_KD.T, False, Hint.of(m_KD, near_KK, w_KD, logit_KK)), logit_KK


def by_definition(d_BD, y_B, m_KD):
    return torch.cdist((m_KD[y_B] + d_BD).double(), m_KD.double()).argmin(1)


@pytest.mark.parametrize(
    ("duality", "spread", "bias", "sure"),
    [(0.0, 0.5, 0.0, 0.99), (0.0, 1.0, 20.0, 0.8), (0.02, 0.5, 1.0, 0.9), (0.3, 0.3, 1.0, 0.5), (0.3, 1.0, 0.0, 0.8)],
)
def test_what_a_hint_is_sure_of_is_the_nearest_mean(duality, spread, bias, sure):
    """Whatever the bias does to the decisions of the network."""
    d_BD, y_B, m_KD, w_KD, b_K = scene(duality, spread, bias)
    finder, logit_KK = nearest(m_KD, w_KD, b_K)
    guess_B, sure_B = finder.hint.guess(logit_KK[y_B] + d_BD @ w_KD.T, d_BD.norm(dim=1), y_B)
    assert sure_B.double().mean() >= sure
    assert torch.equal(guess_B[sure_B], by_definition(d_BD, y_B, m_KD)[sure_B])


@pytest.mark.parametrize("duality", [0.02, 0.3, 3.0, 30.0])
def test_of_the_others_all_distances_are_compared(duality):
    d_BD, y_B, m_KD, w_KD, b_K = scene(duality, bias=1.0)
    finder, logit_KK = nearest(m_KD, w_KD, b_K)
    found_B = finder.find(d_BD, d_BD.norm(dim=1), d_BD[:, :0], logit_KK[y_B] + d_BD @ w_KD.T, y_B)
    assert torch.equal(found_B, by_definition(d_BD, y_B, m_KD))


def wrong(finder, logit_KK, d_BD, y_B, m_KD, w_KD):
    """By how much the hint is wrong of two distances of a sample, one against the other, and what it allows (B,)."""
    hint, z_BK = finder.hint, logit_KK[y_B] + d_BD @ w_KD.T
    hinted_BK = hint.guide_KK[y_B] - hint.scale * z_BK
    square_BK = (
        torch.cdist((m_KD[y_B] + d_BD).double(), m_KD.double(), compute_mode="donot_use_mm_for_euclid_dist") ** 2
    )
    error_BK = hinted_BK - square_BK
    return error_BK.amax(1) - error_BK.amin(1), hint.slope * d_BD.norm(dim=1) + hint.offset


@pytest.mark.parametrize("duality", [0.0, 0.02, 0.3, 3.0])
@pytest.mark.parametrize("bias", [0.0, 1e4])
def test_it_is_never_more_wrong_than_it_says(duality, bias):
    d_BD, y_B, m_KD, w_KD, b_K = scene(duality, bias=bias)
    error_B, allowed_B = wrong(*nearest(m_KD, w_KD, b_K), d_BD, y_B, m_KD, w_KD)
    assert (error_B <= allowed_B).all()


def test_it_says_no_more_than_can_be():
    """The rows of two classes point aside, one against the other, and a sample lies along the line between them."""
    _, _, m_KD, w_KD, b_K = scene(0.0)
    aside_D = normalize(torch.randn(DIMENSION, generator=torch.Generator().manual_seed(2)), dim=0)
    w_KD[0], w_KD[1] = w_KD[0] + 3 * aside_D, w_KD[1] - 3 * aside_D
    error_B, allowed_B = wrong(*nearest(m_KD, w_KD, b_K), aside_D[None], torch.tensor([2]), m_KD, w_KD)
    assert 0.9 * allowed_B < error_B <= allowed_B


@pytest.mark.parametrize("common", [0.0, 1e3])
def test_what_rounding_may_have_turned_is_not_sure(common):
    """Samples midway between two means, give or take a millionth, whose logits have lost more digits than that."""
    _, y_B, m_KD, w_KD, b_K = scene(0.0)
    other_B = (y_B + 1) % CLASSES
    d_BD = (m_KD[other_B] - m_KD[y_B]) * (0.5 + 1e-6 * torch.linspace(-1, 1, SAMPLES))[:, None]
    w_KD = w_KD + common
    finder, logit_KK = nearest(m_KD, w_KD, b_K)
    guess_B, sure_B = finder.hint.guess(logit_KK[y_B] + d_BD @ w_KD.T, d_BD.norm(dim=1), y_B)
    right_B = guess_B == by_definition(d_BD, y_B, m_KD)
    assert not right_B.all()
    assert right_B[sure_B].all()


def test_a_hint_that_proves_nothing_is_dropped():
    d_BD, y_B, m_KD, w_KD, b_K = scene(3.0)
    finder, logit_KK = nearest(m_KD, w_KD, b_K)
    finder.find(d_BD, d_BD.norm(dim=1), d_BD[:, :0], logit_KK[y_B] + d_BD @ w_KD.T, y_B)
    assert finder.hint is None


@pytest.mark.parametrize("factor", [0.0, -1.0, float("nan"), float("inf")])
def test_a_classifier_that_is_not_along_the_means_gives_none(factor):
    _, _, m_KD, w_KD, b_K = scene(0.0)
    assert nearest(m_KD, factor * w_KD, b_K)[0].hint is None


@pytest.mark.parametrize("reference", [False, True])
def test_tables_are_the_same_with_and_without(monkeypatch, reference):
    """300 classes; a few of the samples lie beyond the mean of another class."""
    g = torch.Generator().manual_seed(1)
    mean_KD, y_N = torch.randn(300, 64, generator=g), torch.arange(6000) % 300
    noise_NKD = 1.2 * torch.randn(20, 300, 64, generator=g)
    h_ND = (mean_KD + noise_NKD - noise_NKD.mean(0)).flatten(0, 1)
    w_KD = mean_KD + 0.002 * torch.randn(300, 64, generator=g)
    asked, found = [], []
    compare = Nearest._compare

    def counted(self, sample_BX, y_B):
        asked.append(len(y_B))
        return compare(self, sample_BX, y_B)

    monkeypatch.setattr(Nearest, "_compare", counted)
    for hinted in (True, False):
        if not hinted:
            monkeypatch.setattr(rules, "_pays", lambda *_: False)
        means_KD = mean_KD if reference else None
        found.append(metrics.tabulate("test", stats.statistics([(h_ND, y_N)], w_KD, reference_KD=means_KD)))
        asked.append(-1)
    with_hint, without = sum(asked[: asked.index(-1)]), sum(asked[asked.index(-1) + 1 : -1])
    assert 0 < with_hint < 3000
    assert without == 6000
    assert found[0] == found[1]
    assert 0.9 < next(m.value for m in found[0] if m.name == "ncc_accuracy") < 1
