"""Mixing a batch: `mix.build(spec)(x, y, classes, draws)` gives mixed inputs and the targets that go with them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

from ncmix import mix
from ncmix.spec import Mixup, NoMix

CPU = torch.device("cpu")
LAMS = ("per_batch", "per_sample")
PAIRS = ("any", "same_class", "different_class")


def draws(seed=0, stream=0):
    return mix.Draws.seeded(seed, CPU, stream)


def weights_of(mixup, y_B, classes, seed=0):
    """Mix a batch in which sample i is the i-th unit vector: the mixed inputs are then the weights of the samples."""
    batch = torch.eye(len(y_B), dtype=torch.float64)
    return mix.build(mixup)(batch, y_B, classes, draws(seed))


labels = st.lists(st.integers(0, 4), min_size=1, max_size=24).map(torch.tensor)
mixups = st.builds(
    Mixup,
    alpha=st.floats(1e-3, 1e3),
    lam=st.sampled_from(LAMS),
    pairs=st.sampled_from(PAIRS),
)


@given(mixups, labels, st.integers(0, 2**63 - 1))
@settings(deadline=None)
def test_inputs_are_mixed_with_the_weights_of_the_targets(mixup, y_B, seed):
    """Mixing the labels only, the historical bug, leaves the inputs unit vectors and fails here."""
    mixed = weights_of(mixup, y_B, 5, seed)
    weight_BB = mixed.x_B
    torch.testing.assert_close(weight_BB.sum(1), torch.ones(len(y_B), dtype=torch.float64))
    assert ((weight_BB > 0).sum(1) <= 2).all()
    torch.testing.assert_close(weight_BB @ mix.one_hot(y_B, 5, torch.float64), mixed.y_BK)


def test_most_inputs_of_a_batch_really_change():
    mixed = weights_of(Mixup(), torch.arange(32) % 4, 4)
    assert (mixed.x_B.diagonal() < 1).sum() >= 25


@given(mixups, labels, st.integers(0, 2**63 - 1))
@settings(deadline=None)
def test_partners_are_of_the_class_that_was_asked_for(mixup, y_B, seed):
    partner_B = mix.PAIRINGS[mixup.pairs](y_B, draws(seed).device)
    same_B = y_B[partner_B] == y_B
    match mixup.pairs:
        case "any":
            assert sorted(partner_B.tolist()) == list(range(len(y_B)))
        case "same_class":
            assert same_B.all()
            assert sorted(partner_B.tolist()) == list(range(len(y_B)))
        case "different_class" if len(set(y_B.tolist())) > 1:
            assert not same_B.any()
        case "different_class":
            assert partner_B.tolist() == list(range(len(y_B)))


@pytest.mark.parametrize("pairs", PAIRS)
def test_partners_are_uniform_among_the_allowed(pairs):
    y_B = torch.tensor([0, 1, 0, 2, 1, 0, 2, 1])
    generator, rounds = draws().device, 8000
    partner_RB = torch.stack([mix.PAIRINGS[pairs](y_B, generator) for _ in range(rounds)])
    count_BB = mix.one_hot(partner_RB.flatten(), 8).view(rounds, 8, 8).sum(0)
    same_BB = y_B[:, None] == y_B
    allowed_BB = {"any": same_BB | True, "same_class": same_BB, "different_class": ~same_BB}[pairs].float()
    expected_BB = rounds * allowed_BB / allowed_BB.sum(1, keepdim=True)
    assert ((count_BB - expected_BB).abs() <= 5 * expected_BB.sqrt()).all()


def test_a_batch_of_one_class_has_no_different_partners_and_stays_as_it_is():
    x_B = torch.randn(6, 3, 4, 4, generator=draws().device)
    mixed = mix.build(Mixup(pairs="different_class", lam="per_sample"))(x_B, torch.full((6,), 2), 3, draws())
    assert torch.equal(mixed.x_B, x_B)
    assert torch.equal(mixed.y_BK, mix.one_hot(torch.full((6,), 2), 3))


def test_without_mixing_the_batch_passes_with_hard_targets():
    x_B, y_B = torch.rand(3, 1, 2, 2), torch.tensor([2, 0, 1])
    mixed = mix.build(NoMix())(x_B, y_B, 3, draws())
    assert mixed.x_B is x_B
    assert mixed.y_BK.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


def test_lambda_is_one_number_a_batch_or_one_a_sample():
    y_B = torch.arange(16)
    weight_per_batch = weights_of(Mixup(lam="per_batch", pairs="different_class"), y_B, 16).x_B.diagonal()
    weight_per_sample = weights_of(Mixup(lam="per_sample", pairs="different_class"), y_B, 16).x_B.diagonal()
    assert len(set(weight_per_batch.tolist())) == 1
    assert len(set(weight_per_sample.tolist())) == 16


@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("alpha", [5e-324, 1e-300, 1e-12, 1e-4, 1e4, 1e16, 1.7e308])
def test_extreme_alpha_gives_numbers(alpha, lam):
    """Tiny: one sample or the other. Huge: exactly half of both."""
    weight_BB = weights_of(Mixup(alpha=alpha, lam=lam, pairs="different_class"), torch.arange(32), 32).x_B
    assert torch.isfinite(weight_BB).all()
    middle = (weight_BB.diagonal() - 0.5).abs()
    assert (middle > 0.49).all() if alpha < 1 else (middle < 0.05).all()


@pytest.mark.parametrize("alpha", [0.2, 1.0, 8.0])
def test_lambda_has_the_moments_of_its_beta_distribution(alpha):
    x_B, y_B = torch.arange(2.0, dtype=torch.float64).repeat(10_000)[:, None], torch.arange(2).repeat(10_000)
    mixed = mix.build(Mixup(alpha=alpha, lam="per_sample", pairs="different_class"))(x_B, y_B, 2, draws())
    lam_B = mixed.y_BK.gather(1, y_B[:, None])
    variance = 1 / (4 * (2 * alpha + 1))
    assert lam_B.mean().item() == pytest.approx(0.5, abs=5 * math.sqrt(variance / 20_000))
    assert lam_B.var().item() == pytest.approx(variance, rel=0.05)


def test_a_seed_and_a_stream_decide_every_draw():
    def numbers(generators):
        return generators.host.random(4).tolist(), torch.rand(4, generator=generators.device).tolist()

    assert numbers(draws(7, 1)) == numbers(draws(7, 1))
    distinct = [numbers(draws(seed, stream)) for seed in (0, 1, 2**32, 2**63 - 1) for stream in (0, 1)]
    assert len({str(n) for n in distinct}) == len(distinct)


def test_mixing_leaves_the_global_generators_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    weights_of(Mixup(lam="per_sample", pairs="different_class"), torch.arange(8), 8)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


class Waiting(TorchDispatchMode):
    """Refuses the operations for which the host would have to wait for a device."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        waits = ("_local_scalar_dense", "nonzero", "bincount", "unique", "masked_select", "is_nonzero", "equal")
        assert func.overloadpacket.__name__ not in waits, func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_mixing_never_waits_for_the_device(lam, pairs):
    x_B, y_B, generators = torch.rand(8, 3, 4, 4), torch.arange(8) % 3, draws()
    with Waiting():
        mix.build(Mixup(lam=lam, pairs=pairs))(x_B, y_B, 3, generators)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_mixing_never_waits_for_a_gpu(lam, pairs):
    cuda = torch.device("cuda")
    x_B, y_B = torch.rand(8, 3, 4, 4, device=cuda), torch.arange(8, device=cuda) % 3
    generators = mix.Draws.seeded(0, cuda)
    torch.cuda.set_sync_debug_mode("error")
    try:
        mix.build(Mixup(lam=lam, pairs=pairs))(x_B, y_B, 3, generators)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_every_pairing_of_the_spec_is_here():
    assert set(mix.PAIRINGS) == set(PAIRS)
