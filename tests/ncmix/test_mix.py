"""Mixing a batch: `mix.build(spec)(x, y, classes, draws)` gives mixed inputs and the targets that go with them."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ncmix import losses, mix
from ncmix.losses import Outputs
from ncmix.spec import VOCABULARY
from ncmix.spec.objective import CrossEntropy, CutMix, LabelOnly, ManifoldMixup, Mixup, NoMix, Pairwise, RegMixup
from tests.waiting import Waiting

CPU = torch.device("cpu")
LAMS = ("per_batch", "per_sample")
PAIRS = ("any", "same_class", "different_class")
PAIRWISE: list[type[Pairwise]] = [part for part in VOCABULARY["mix"].values() if issubclass(part, Pairwise)]
PLACES = 4


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


every = pytest.mark.parametrize("part", PAIRWISE, ids=lambda part: part.__name__)


def step(part, x_B, y_B, classes, seed=0):
    """One step of a network that mixes at PLACES places: what is trained on, wherever it is mixed, with its targets."""
    mixed = mix.build(part, PLACES)(x_B, y_B, classes, draws(seed))
    return (mixed.blend.apply(mixed.x_B) if mixed.blend else mixed.x_B), mixed.y_BK


# The next two hold the conditions that torchvision's own tests put on its MixUp and CutMix: shapes, targets that sum to
# one, two labels a sample where all labels of the batch differ.
@every
@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_shapes_and_sums(part, lam, pairs):
    x_B, y_B = torch.rand(32, 3, 10, 12), torch.arange(32)
    mixed_B, y_BK = step(part(lam=lam, pairs=pairs), x_B, y_B, 100)
    copies = 2 if part is RegMixup else 1
    assert mixed_B.shape == (copies * 32, 3, 10, 12)
    assert mixed_B.dtype == y_BK.dtype == torch.float32
    assert y_BK.shape == (copies * 32, 100)
    torch.testing.assert_close(y_BK.sum(1), torch.ones(copies * 32))
    assert ((mixed_B >= 0) & (mixed_B <= 1)).all()


@every
@pytest.mark.parametrize("lam", LAMS)
def test_two_labels_a_sample_where_all_differ(part, lam):
    """Half of both, nearly, by a huge alpha: none is lost to a λ of 0 or 1."""
    _, y_BK = step(part(alpha=1e6, lam=lam, pairs="different_class"), torch.rand(32, 3, 10, 12), torch.arange(32), 100)
    assert ((y_BK[-32:] > 0).sum(1) == 2).all()


@pytest.mark.parametrize("part", [part for part in PAIRWISE if part is not LabelOnly])
@pytest.mark.parametrize("lam", LAMS)
@given(y_B=labels, seed=st.integers(0, 2**63 - 1))
@settings(deadline=None, max_examples=30)
def test_every_target_holds_the_shares_in_which_inputs_were_mixed(part, lam, y_B, seed):
    """Picture i is one in channel i and zero elsewhere: a mixture's mean over its pixels tells the shares.

    Mixing the labels only, the historical bug, fails here: `label_only`, which does so by name, is left out.
    """
    batch = len(y_B)
    x_B = torch.eye(batch, dtype=torch.float64)[:, :, None, None].expand(-1, -1, 5, 7)
    mixed_B, y_BK = step(part(lam=lam), x_B, y_B, 5, seed)
    share_BB = mixed_B.mean((2, 3))
    torch.testing.assert_close(share_BB @ mix.one_hot(y_B, 5, torch.float64), y_BK)


@every
def test_pairs_are_those_that_were_asked_for(part):
    y_B = torch.arange(32) % 4
    for pairs, labels_seen in (("same_class", 1), ("different_class", 2)):
        _, y_BK = step(part(alpha=1e6, pairs=pairs), torch.rand(32, 1, 8, 8), y_B, 4)
        assert ((y_BK[-32:] > 0).sum(1) == labels_seen).all()


@every
def test_the_default_draws_one_lambda_a_batch(part):
    _, y_BK = step(part(pairs="different_class"), torch.rand(16, 1, 32, 32), torch.arange(16), 16)
    assert len(set(y_BK[-16:].diagonal().tolist())) == 1
    _, y_BK = step(part(pairs="different_class", lam="per_sample"), torch.rand(16, 1, 32, 32), torch.arange(16), 16)
    assert len(set(y_BK[-16:].diagonal().tolist())) > 8


def test_cutmix_pastes_the_partners_box_and_counts_its_pixels():
    """Every pixel is the sample's or its partner's, at its place; the partner's fill a box, whose share is 1 − λ."""
    y_B, (height, width) = torch.arange(64), (9, 14)
    x_B = torch.randn(64, 3, height, width, generator=draws().device, dtype=torch.float64)
    mixed_B, y_BK = step(CutMix(lam="per_sample", pairs="different_class"), x_B, y_B, 64)
    clipped = 0
    for own, (mixed, y_K) in enumerate(zip(mixed_B, y_BK, strict=True)):
        lam = y_K[own].item()
        foreign = (mixed != x_B[own]).any(0)
        assert lam == pytest.approx(1 - foreign.double().mean().item(), abs=1e-12)
        if not foreign.any():
            continue
        (partner,) = [k for k in y_K.nonzero().flatten().tolist() if k != own]
        assert torch.equal(mixed[:, foreign], x_B[partner][:, foreign])
        rows, columns = foreign.any(1), foreign.any(0)
        assert torch.equal(foreign, rows[:, None] & columns)
        for side in (rows, columns):
            edges = side.nonzero().flatten()
            assert side.sum() == edges[-1] - edges[0] + 1  # in one piece
            clipped += int(side[0] or side[-1])
    assert clipped > 10  # so the area of many a box is not what λ was drawn for


def test_cutmix_draws_boxes_of_the_published_size():
    """Width W√(1−λ) around a centre that is uniform over the picture, and so half of it may be cut off."""
    lam_N = np.full(20_000, 0.75)
    top_N, bottom_N, left_N, right_N = mix._boxes(lam_N, 40, 60, draws().host).T
    assert (bottom_N - top_N).max() == 20
    assert (right_N - left_N).max() == 30
    assert (top_N.min(), bottom_N.max(), left_N.min(), right_N.max()) == (0, 40, 0, 60)
    # Rows lost by 40 equally likely centres: 10 + … + 1 at the top, 9 + … + 1 at the bottom.
    assert (bottom_N - top_N).mean() == pytest.approx(20 - (55 + 45) / 40, abs=0.1)


def test_cutmix_at_the_ends_of_lambda():
    """At λ = 1 nothing is pasted; at 0 a box as large as the picture, of which at least a quarter stays inside."""
    top_N, bottom_N, left_N, right_N = mix._boxes(np.array([1.0] * 50 + [0.0] * 50), 8, 8, draws().host).T
    area_N = (bottom_N - top_N) * (right_N - left_N)
    assert (area_N[:50] == 0).all()
    assert area_N[50:].min() >= 16
    assert mix._boxes(np.array([0.0]), 1, 1, draws().host).tolist() == [[0, 0, 0, 0]]  # a single pixel stays whole


def test_regmixup_trains_on_the_clean_and_the_mixed_batch():
    """The mean over the doubled batch is the mean of both losses."""
    x_B, y_B = torch.randn(8, 6, generator=draws().device), torch.arange(8) % 3
    both = mix.build(RegMixup(alpha=2.0))(x_B, y_B, 3, draws())
    alone = mix.build(Mixup(alpha=2.0))(x_B, y_B, 3, draws())
    assert torch.equal(both.x_B, torch.cat([x_B, alone.x_B]))
    assert torch.equal(both.y_BK, torch.cat([mix.one_hot(y_B, 3), alone.y_BK]))


def test_manifold_mixup_gives_the_network_what_to_apply_and_where():
    """Every place equally often; there, the same partners and λ as in the targets, whatever the shape."""
    x_B, y_B, generators = torch.randn(6, 5), torch.arange(6), draws()
    mixer, found = mix.build(ManifoldMixup(lam="per_sample"), PLACES), []
    for _ in range(2000):
        mixed = mixer(x_B, y_B, 6, generators)
        assert mixed.x_B is x_B
        found.append(mixed.blend.place)
    torch.testing.assert_close(mixed.blend.apply(torch.eye(6)), mixed.y_BK)
    torch.testing.assert_close(mixed.blend.apply(torch.eye(6)[:, :, None, None]), mixed.y_BK[:, :, None, None])
    count = np.bincount(found, minlength=PLACES)
    assert (np.abs(count - 500) < 5 * math.sqrt(500)).all()


def test_manifold_mixup_of_half_precision_stays_so():
    mixed = mix.build(ManifoldMixup(lam="per_sample"), PLACES)(torch.randn(6, 5), torch.arange(6), 6, draws())
    blended = mixed.blend.apply(torch.eye(6, dtype=torch.bfloat16))
    assert blended.dtype == torch.bfloat16
    torch.testing.assert_close(blended.float(), mixed.y_BK, atol=0.01, rtol=0)


def test_where_there_is_but_one_place_it_is_the_input():
    mixed = mix.build(ManifoldMixup())(torch.randn(6, 5), torch.arange(6), 6, draws())
    assert mixed.blend.place == 0


@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("alpha", [0.3, 1.0, 10.0])
def test_mixing_labels_only_is_label_smoothing_of_a_half(lam, alpha):
    """Not mixup: inputs stay, and cross-entropy is that of ε = ½ in expectation, for a batch with all classes alike.

    Seeded; the mean of 4000 steps lies within five of its standard errors of the expectation, for every sample.
    """
    y_B, generators = torch.arange(12) % 4, draws()
    x_B = torch.randn(12, 4, generator=generators.device, dtype=torch.float64)
    mixer, outputs = mix.build(LabelOnly(lam=lam, alpha=alpha)), Outputs(x_B, x_B, x_B)
    steps = [mixer(x_B, y_B, 4, generators) for _ in range(4000)]
    assert all(mixed.x_B is x_B for mixed in steps)
    plain = losses.build(CrossEntropy())
    loss_SB = torch.stack([plain(outputs, mixed.y_BK) for mixed in steps])
    y_BK = mix.one_hot(y_B, 4, torch.float64)
    smoothed_B = losses.build(CrossEntropy(label_smoothing=0.5))(outputs, y_BK)
    standard_error_B = loss_SB.std(0) / math.sqrt(len(steps))
    assert ((loss_SB.mean(0) - smoothed_B).abs() < 5 * standard_error_B).all()
    assert ((plain(outputs, y_BK) - smoothed_B).abs() > 20 * standard_error_B).sum() >= 6  # what five can tell apart


def test_mixing_labels_only_is_label_smoothing_of_a_half_exactly():
    """By enumeration of all 720 pairings of six samples, at a λ and its mirror image."""
    y_BK = mix.one_hot(torch.arange(6) % 3, 3, torch.float64)
    lambdas = [torch.tensor([lam]) for lam in (0.1, 0.9)]
    targets = [mix._blend(y_BK, y_BK[list(p)], lam_N) for p in itertools.permutations(range(6)) for lam_N in lambdas]
    torch.testing.assert_close(torch.stack(targets).mean(0), 0.5 * y_BK + 0.5 / 3)


def test_a_seed_and_a_stream_decide_every_draw():
    def numbers(generators):
        return generators.host.random(4).tolist(), torch.rand(4, generator=generators.device).tolist()

    assert numbers(draws(7, 1)) == numbers(draws(7, 1))
    distinct = [numbers(draws(seed, stream)) for seed in (0, 1, 2**32, 2**63 - 1) for stream in (0, 1)]
    assert len({str(n) for n in distinct}) == len(distinct)


@every
def test_mixing_leaves_the_global_generators_alone(part):
    x_B = torch.zeros(8, 1, 4, 4)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()
    step(part(lam="per_sample", pairs="different_class"), x_B, torch.arange(8), 8)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]


@every
@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_mixing_never_waits_for_the_device(part, lam, pairs):
    x_B, y_B, generators = torch.rand(8, 3, 4, 4), torch.arange(8) % 3, draws()
    with Waiting():
        mixed = mix.build(part(lam=lam, pairs=pairs), PLACES)(x_B, y_B, 3, generators)
        if mixed.blend:
            mixed.blend.apply(x_B)


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@every
@pytest.mark.parametrize("lam", LAMS)
@pytest.mark.parametrize("pairs", PAIRS)
def test_mixing_never_waits_for_a_gpu(part, lam, pairs):
    cuda = torch.device("cuda")
    x_B, y_B = torch.rand(8, 3, 4, 4, device=cuda), torch.arange(8, device=cuda) % 3
    generators = mix.Draws.seeded(0, cuda)
    torch.cuda.set_sync_debug_mode("error")
    try:
        mixed = mix.build(part(lam=lam, pairs=pairs), PLACES)(x_B, y_B, 3, generators)
        if mixed.blend:
            mixed.blend.apply(x_B)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_every_pairing_of_the_spec_is_here():
    assert set(mix.PAIRINGS) == set(PAIRS)
