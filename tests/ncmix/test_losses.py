"""Losses: `losses.build(spec)(outputs, soft_targets)` gives one number a sample."""

import math

import pytest
import torch
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    l1_loss,
    linear,
    mse_loss,
    nll_loss,
    one_hot,
    smooth_l1_loss,
)

from ncmix import losses
from ncmix.losses import Outputs
from ncmix.spec import VOCABULARY
from ncmix.spec.objective import (
    Bce,
    CrossEntropy,
    DotRegression,
    Focal,
    Mae,
    Mse,
    RescaledMse,
    SmoothL1,
    Squentropy,
    SupCon,
)

# Every loss as its paper writes it for one sample, in plain Python: b is the sample, h, z, w and y are nested lists.
# A loss that knows a true class t is averaged over t with the weights y.


def of_true_class(at):
    return lambda b, h, z, w, y: sum(y[b][t] * at(t, h[b], z[b], w) for t in range(len(y[b])))


def of_targets(at):
    return lambda b, h, z, w, y: at(z[b], y[b])


def p(z, k):
    return math.exp(z[k]) / sum(math.exp(v) for v in z)


def dot(u, v):
    return sum(a * b for a, b in zip(u, v, strict=True))


def others(z, t):
    return sum(v**2 for k, v in enumerate(z) if k != t)


def huber(d, beta):
    return d**2 / (2 * beta) if d < beta else d - beta / 2


def cosine(u, v):
    return dot(u, v) / math.sqrt(dot(u, u) * dot(v, v))


def contrast(b, h, z, w, y):
    rest = [a for a in range(len(h)) if a != b]
    total = sum(math.exp(cosine(h[b], h[a]) / 0.5) for a in rest)
    agreement = [dot(y[b], y[a]) for a in rest]
    logs = [math.log(math.exp(cosine(h[b], h[a]) / 0.5) / total) for a in rest]
    return -dot(agreement, logs) / sum(agreement)


SMOOTH = 0.05
BY_HAND = {
    CrossEntropy(): of_true_class(lambda t, h, z, w: -math.log(p(z, t))),
    CrossEntropy(label_smoothing=SMOOTH): of_targets(
        lambda z, y: -sum(((1 - SMOOTH) * v + SMOOTH / len(y)) * math.log(p(z, k)) for k, v in enumerate(y))
    ),
    Mse(): of_targets(lambda z, y: sum((a - v) ** 2 for a, v in zip(z, y, strict=True)) / len(z)),
    Mse(scale=15.0): of_targets(lambda z, y: sum((a - 15 * v) ** 2 for a, v in zip(z, y, strict=True)) / len(z)),
    RescaledMse(kappa=5.0, margin=3.0): of_true_class(lambda t, h, z, w: (5 * (z[t] - 3) ** 2 + others(z, t)) / len(z)),
    Focal(): of_true_class(lambda t, h, z, w: -((1 - p(z, t)) ** 3) * math.log(p(z, t))),
    Focal(gamma=0.5): of_true_class(lambda t, h, z, w: -math.sqrt(1 - p(z, t)) * math.log(p(z, t))),
    Squentropy(): of_true_class(lambda t, h, z, w: -math.log(p(z, t)) + others(z, t) / (len(z) - 1)),
    Bce(): of_targets(lambda z, y: sum(math.log(1 + math.exp(a)) - v * a for a, v in zip(z, y, strict=True))),
    Mae(): of_targets(lambda z, y: sum(abs(p(z, k) - v) for k, v in enumerate(y)) / len(z)),
    Mae(kappa=4.0): of_targets(lambda z, y: sum((1 + 3 * v) * abs(p(z, k) - v) for k, v in enumerate(y)) / len(z)),
    SmoothL1(beta=0.7): of_targets(
        lambda z, y: sum(huber(abs(a - v), 0.7) for a, v in zip(z, y, strict=True)) / len(z)
    ),
    DotRegression(e_w=2.0, e_h=3.0): of_true_class(
        lambda t, h, z, w: (math.sqrt(6) * cosine(h, w[t]) - math.sqrt(6)) ** 2 / (2 * math.sqrt(6))
    ),
    SupCon(temperature=0.5): contrast,
}

every = pytest.mark.parametrize("loss", BY_HAND, ids=str)

# Those that read the logits and do not change when all of them shift together.
OF_SOFTMAX = [loss for loss in BY_HAND if loss.kind in ("cross_entropy", "focal", "mae")]


@pytest.fixture
def batch():
    """Outputs of a linear classifier with five classes and soft targets, for seven samples, in float64."""
    generator = torch.Generator().manual_seed(0)
    h_BD, w_KD, y_BK = (
        torch.randn(n, m, generator=generator, dtype=torch.float64) for n, m in ((7, 6), (5, 6), (7, 5))
    )
    return Outputs(h_BD, linear(h_BD, w_KD), w_KD), y_BK.softmax(1)


def hard(outputs):
    y_B = torch.arange(7) % 5
    return y_B, one_hot(y_B, 5).to(outputs.z_BK.dtype)


def logits(z_BK):
    """Outputs of which only the logits matter."""
    return Outputs(torch.ones(len(z_BK), 2), z_BK, torch.ones(z_BK.shape[1], 2))


def value(loss, outputs, y_BK):
    return losses.build(loss)(outputs, y_BK)


def test_every_loss_of_the_spec_is_tested_here():
    assert {loss.kind for loss in BY_HAND} == set(VOCABULARY["loss"])


@every
@pytest.mark.parametrize("target", ["soft", "hard"])
def test_losses_are_their_definitions(batch, loss, target):
    outputs, y_BK = batch
    if target == "hard":
        _, y_BK = hard(outputs)
        # Three of the five classes have one sample here, which gives supcon no pair; two classes give it seven.
        y_BK = y_BK[[0, 1, 0, 1, 0, 1, 0]] if loss.kind == "supcon" else y_BK
    h, z, w, y = (t.tolist() for t in (outputs.h_BD, outputs.z_BK, outputs.w_KD, y_BK))
    expected_B = torch.tensor([BY_HAND[loss](b, h, z, w, y) for b in range(7)], dtype=torch.float64)
    torch.testing.assert_close(value(loss, outputs, y_BK), expected_B)


@every
def test_gradients_in_float64(batch, loss):
    """With respect to features and classifier, through the logits and beside them."""
    outputs, y_BK = batch
    per_sample = losses.build(loss)

    def of_features(h_BD, w_KD):
        return per_sample(Outputs(h_BD, linear(h_BD, w_KD), w_KD), y_BK)

    assert torch.autograd.gradcheck(of_features, (outputs.h_BD.requires_grad_(), outputs.w_KD.requires_grad_()))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy_is_pytorchs_on_hard_labels(batch, smoothing):
    outputs, _ = batch
    y_B, y_BK = hard(outputs)
    theirs = cross_entropy(outputs.z_BK, y_B, reduction="none", label_smoothing=smoothing)
    torch.testing.assert_close(value(CrossEntropy(label_smoothing=smoothing), outputs, y_BK), theirs)


@pytest.mark.parametrize(
    ("loss", "theirs"),
    [
        (Mse(), mse_loss),
        (Mse(scale=15.0), lambda z, y: mse_loss(z, 15 * y)),
        (RescaledMse(), mse_loss),
        (RescaledMse(margin=15.0), lambda z, y: mse_loss(z, 15 * y)),
        (Bce(), lambda z, y: 5 * binary_cross_entropy_with_logits(z, y)),
        (Mae(), lambda z, y: l1_loss(z.softmax(1), y)),
        (SmoothL1(), smooth_l1_loss),
        (SmoothL1(beta=0.3), lambda z, y: smooth_l1_loss(z, y, beta=0.3)),
    ],
    ids=lambda item: str(item) if hasattr(item, "kind") else "",
)
def test_a_mean_over_the_batch_is_pytorchs(batch, loss, theirs):
    """On hard labels; κ = 1 makes `rescaled_mse` the squared error, the margin its scale."""
    outputs, _ = batch
    _, y_BK = hard(outputs)
    torch.testing.assert_close(value(loss, outputs, y_BK).mean(), theirs(outputs.z_BK, y_BK))


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0, 3.0])
def test_focal_weighs_cross_entropy_by_what_the_true_class_lacks(batch, gamma):
    """(1 − p_t)^γ · CE with p_t = exp(−CE): how focal loss is commonly coded for hard labels."""
    outputs, _ = batch
    y_B, y_BK = hard(outputs)
    nll_B = nll_loss(outputs.z_BK.log_softmax(1), y_B, reduction="none")
    torch.testing.assert_close(value(Focal(gamma=gamma), outputs, y_BK), (1 - torch.exp(-nll_B)) ** gamma * nll_B)


def test_focal_without_focus_is_cross_entropy(batch):
    """Values and gradients, hard and soft."""
    outputs, soft_BK = batch
    z_BK = outputs.z_BK.requires_grad_()
    for y_BK in (soft_BK, hard(outputs)[1]):
        ours, theirs = (value(loss, outputs, y_BK) for loss in (Focal(gamma=0.0), CrossEntropy()))
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(*(torch.autograd.grad(loss_B.sum(), z_BK)[0] for loss_B in (ours, theirs)))


def test_smoothing_mixes_the_target_with_the_uniform_one(batch):
    outputs, y_BK = batch
    smooth = value(CrossEntropy(label_smoothing=0.2), outputs, y_BK)
    torch.testing.assert_close(smooth, value(CrossEntropy(), outputs, 0.8 * y_BK + 0.2 / 5))


LINEAR = [CrossEntropy(), RescaledMse(kappa=5.0, margin=3.0), Focal(), Squentropy(), Bce(), DotRegression()]


@pytest.mark.parametrize("loss", LINEAR, ids=lambda loss: loss.kind)
def test_losses_that_do_not_care_whether_targets_or_losses_are_mixed(batch, loss):
    torch.testing.assert_close(mixing_gap(loss, batch), torch.zeros(7, dtype=torch.float64))


def test_losses_that_do(batch):
    """For MSE the two differ by λ(1−λ)s²·2/K whatever the logits; for others by what depends on them."""
    expected_B = torch.full((7,), 0.3 * 0.7 * 4 * 2 / 5, dtype=torch.float64)
    torch.testing.assert_close(mixing_gap(Mse(scale=2.0), batch), expected_B)
    for loss in (Mae(), SmoothL1()):
        assert mixing_gap(loss, batch).std() > 0.01


def mixing_gap(loss, batch):
    outputs, _ = batch
    _, one_BK = hard(outputs)
    other_BK = one_BK.roll(1, 1)
    mixture_B = 0.3 * value(loss, outputs, one_BK) + 0.7 * value(loss, outputs, other_BK)
    return mixture_B - value(loss, outputs, 0.3 * one_BK + 0.7 * other_BK)


@pytest.mark.parametrize("loss", OF_SOFTMAX, ids=str)
def test_a_shift_of_all_logits_is_ignored(batch, loss):
    """So the gradient never moves the sum of the classifier's rows: what the recursion of nc0 rests on."""
    outputs, y_BK = batch
    shifted = Outputs(outputs.h_BD, outputs.z_BK + 3, outputs.w_KD)
    torch.testing.assert_close(value(loss, shifted, y_BK), value(loss, outputs, y_BK))
    z_BK = outputs.z_BK.requires_grad_()
    (gradient,) = torch.autograd.grad(value(loss, outputs, y_BK).sum(), z_BK)
    torch.testing.assert_close(gradient.sum(1), torch.zeros(7, dtype=torch.float64))


@every
def test_half_precision_outputs_are_judged_in_float32(batch, loss):
    wide, y_BK = batch
    half = Outputs(*(t.to(torch.bfloat16) for t in (wide.h_BD, wide.z_BK, wide.w_KD)))
    given = value(loss, half, y_BK.float())
    assert given.dtype == torch.float32
    again = Outputs(*(t.float() for t in (half.h_BD, half.z_BK, half.w_KD)))
    torch.testing.assert_close(given, value(loss, again, y_BK.float()))


@every
def test_half_precision_arithmetic_does_no_harm(batch, loss):
    """Measuring may run in bf16: what multiplies matrices then does so coarsely, and stays finite."""
    outputs, y_BK = batch
    single = Outputs(*(t.float() for t in (outputs.h_BD, outputs.z_BK, outputs.w_KD)))
    with torch.autocast("cpu", torch.bfloat16):
        coarse = value(loss, single, y_BK.float())
    torch.testing.assert_close(coarse.float(), value(loss, single, y_BK.float()), rtol=0.05, atol=0.05)


@every
def test_certainty_is_no_infinity_and_has_a_gradient(loss):
    z_BK = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], requires_grad=True)
    outputs = logits(z_BK)
    loss_B = value(loss, outputs, torch.tensor([[1.0, 0.0], [1.0, 0.0]]))
    assert torch.isfinite(loss_B).all()
    if loss_B.requires_grad:
        loss_B.sum().backward()
        assert torch.isfinite(z_BK.grad).all()


def test_dot_regression_knows_angles_only(batch):
    """Zero where a feature points along its class's row, whatever the lengths; the same for scaled h and w."""
    outputs, y_BK = batch
    loss = DotRegression(e_w=0.5, e_h=4.0)
    scaled = Outputs(7 * outputs.h_BD, outputs.z_BK, 0.1 * outputs.w_KD)
    torch.testing.assert_close(value(loss, scaled, y_BK), value(loss, outputs, y_BK))
    y_B, y_BK = hard(outputs)
    collapsed = Outputs(3 * outputs.w_KD[y_B], outputs.z_BK, outputs.w_KD)
    torch.testing.assert_close(value(loss, collapsed, y_BK), torch.zeros(7, dtype=torch.float64))


def test_dot_regression_pulls_along_the_fixed_row_only(batch):
    """∂L/∂ĥ = −(1 − cos∠(h, w)) w for the unit feature ĥ: no push away from the other classes (Yang et al. 2022)."""
    outputs, _ = batch
    y_B, y_BK = hard(outputs)
    w_KD = outputs.w_KD / outputs.w_KD.norm(dim=1, keepdim=True)
    h_BD = (outputs.h_BD / outputs.h_BD.norm(dim=1, keepdim=True)).requires_grad_()
    (gradient_BD,) = torch.autograd.grad(value(DotRegression(), Outputs(h_BD, outputs.z_BK, w_KD), y_BK).sum(), h_BD)
    cosine_B = (h_BD * w_KD[y_B]).sum(1).detach()
    pull_BD = -(1 - cosine_B)[:, None] * w_KD[y_B]
    # What changes the length of h has no effect: the projection on the sphere.
    tangent_BD = pull_BD - (pull_BD * h_BD.detach()).sum(1, keepdim=True) * h_BD.detach()
    torch.testing.assert_close(gradient_BD, tangent_BD)


def test_supcon_of_a_collapsed_simplex():
    """Two samples in each of K classes at a simplex: −1/τ + log(e^{1/τ} + 2(K−1)e^{−1/((K−1)τ)}), its minimum."""
    classes, tau = 4, 0.5
    simplex_KD = torch.eye(classes, dtype=torch.float64) - 1 / classes
    y_B = torch.arange(8) % classes
    outputs = Outputs(5 * simplex_KD[y_B], torch.zeros(8, classes), simplex_KD)
    found_B = value(SupCon(temperature=tau), outputs, one_hot(y_B, classes).double())
    apart = 2 * (classes - 1) * math.exp(-1 / ((classes - 1) * tau))
    expected = -1 / tau + math.log(math.exp(1 / tau) + apart)
    torch.testing.assert_close(found_B, torch.full((8,), expected, dtype=torch.float64))


def test_supcon_without_a_partner_is_zero(batch):
    outputs, _ = batch
    y_BK = torch.eye(7, dtype=torch.float64)
    assert value(SupCon(), outputs, y_BK).tolist() == [0] * 7
    alone = Outputs(outputs.h_BD[:1], outputs.z_BK[:1], outputs.w_KD)
    assert value(SupCon(), alone, y_BK[:1]).tolist() == [0]
