"""Losses: `losses.build(spec)(logits, soft_targets)` gives one number a sample."""

import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss, one_hot

from ncmix import losses
from ncmix.spec import CrossEntropy, Mse

ALL = [CrossEntropy(), CrossEntropy(label_smoothing=0.05), Mse(), Mse(scale=15.0)]


@pytest.fixture
def batch():
    """Logits and soft targets, (7, 5), in float64."""
    generator = torch.Generator().manual_seed(0)
    z_BK = 4 * torch.randn(7, 5, generator=generator, dtype=torch.float64)
    return z_BK, torch.rand(7, 5, generator=generator, dtype=torch.float64).softmax(1)


def hard(z_BK):
    y_B = torch.arange(len(z_BK)) % z_BK.shape[1]
    return y_B, one_hot(y_B, z_BK.shape[1]).to(z_BK.dtype)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_pytorchs_on_hard_labels(batch, smoothing):
    z_BK, _ = batch
    y_B, y_BK = hard(z_BK)
    ours = losses.build(CrossEntropy(label_smoothing=smoothing))(z_BK, y_BK)
    torch.testing.assert_close(ours, cross_entropy(z_BK, y_B, reduction="none", label_smoothing=smoothing))


def test_mse_is_pytorchs_and_scales_the_target(batch):
    z_BK, _ = batch
    _, y_BK = hard(z_BK)
    torch.testing.assert_close(losses.build(Mse())(z_BK, y_BK).mean(), mse_loss(z_BK, y_BK))
    torch.testing.assert_close(losses.build(Mse(scale=15.0))(z_BK, y_BK).mean(), mse_loss(z_BK, 15 * y_BK))


def test_soft_targets_follow_the_definitions(batch):
    z_BK, y_BK = batch
    torch.testing.assert_close(losses.build(CrossEntropy())(z_BK, y_BK), -(y_BK * z_BK.log_softmax(1)).sum(1))
    torch.testing.assert_close(losses.build(Mse(scale=3.0))(z_BK, y_BK), ((z_BK - 3 * y_BK) ** 2).sum(1) / 5)


def test_smoothing_mixes_the_target_with_the_uniform_one(batch):
    z_BK, y_BK = batch
    smooth = losses.build(CrossEntropy(label_smoothing=0.2))(z_BK, y_BK)
    torch.testing.assert_close(smooth, losses.build(CrossEntropy())(z_BK, 0.8 * y_BK + 0.2 / 5))


def test_the_mixed_target_against_the_mixed_losses(batch):
    """Cross-entropy does not care which is mixed; for MSE they differ by λ(1−λ)s²·2/K whatever the logits."""
    z_BK, _ = batch
    _, one_BK = hard(z_BK)
    other_BK = one_BK.roll(1, 1)

    def gap(loss):
        per_sample = losses.build(loss)
        mixture = 0.3 * per_sample(z_BK, one_BK) + 0.7 * per_sample(z_BK, other_BK)
        return mixture - per_sample(z_BK, 0.3 * one_BK + 0.7 * other_BK)

    torch.testing.assert_close(gap(CrossEntropy()), torch.zeros(7, dtype=torch.float64))
    torch.testing.assert_close(gap(Mse(scale=2.0)), torch.full((7,), 0.3 * 0.7 * 4 * 2 / 5, dtype=torch.float64))


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_gradients_in_float64(batch, loss):
    z_BK, y_BK = batch
    assert torch.autograd.gradcheck(losses.build(loss), (z_BK.requires_grad_(), y_BK))


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(label_smoothing=0.05)], ids=str)
def test_cross_entropy_ignores_a_shift_of_all_logits(batch, loss):
    """So its gradient never moves the sum of the classifier's rows: what the recursion of nc0 rests on."""
    z_BK, y_BK = batch
    torch.testing.assert_close(losses.build(loss)(z_BK + 3, y_BK), losses.build(loss)(z_BK, y_BK))
    (gradient,) = torch.autograd.grad(losses.build(loss)(z_BK.requires_grad_(), y_BK).sum(), z_BK)
    torch.testing.assert_close(gradient.sum(1), torch.zeros(7, dtype=torch.float64))


@pytest.mark.parametrize("loss", ALL, ids=str)
def test_half_precision_logits_are_judged_in_float32(batch, loss):
    z_BK, y_BK = (t.to(dtype) for t, dtype in zip(batch, (torch.bfloat16, torch.float32), strict=True))
    given = losses.build(loss)(z_BK, y_BK)
    assert given.dtype == torch.float32
    torch.testing.assert_close(given, losses.build(loss)(z_BK.float(), y_BK))


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(label_smoothing=0.05)], ids=str)
def test_certainty_is_no_infinity(loss):
    z_BK = torch.tensor([[1e4, -1e4], [-1e4, 1e4]])
    assert torch.isfinite(losses.build(loss)(z_BK, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))).all()
