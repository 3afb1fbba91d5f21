"""Optimizers and schedules, up to the law of nc0: how the sum of the classifier's rows moves is known in advance."""

import copy
import inspect
import math
import subprocess
import sys

import pytest
import torch
from torch import nn

from ncmix import losses, mix, optim
from ncmix.spec import Adam, AdamW, Constant, Cosine, CrossEntropy, Mixup, Mse, MultiStep, NoMix, Sgd

EPOCHS, STEPS = 6, 10


def recursion(s, sgd, schedule, epochs=EPOCHS, steps=STEPS):
    """v ← βv + ωs, s ← s − ηv if coupled; s ← (1 − ηω)s − ηv with v ← βv if decoupled."""
    v = 0 * s
    for step in range(epochs * steps):
        rate = optim.rate(schedule, sgd.lr, epochs, steps, step)
        v = sgd.momentum * v + (0 if sgd.decoupled else sgd.weight_decay) * s
        s = s * (1 - rate * sgd.weight_decay * sgd.decoupled) - rate * v
    return s


def trained_sum(sgd, schedule, loss, mixing, dtype):
    """Train a bare classifier on noise; the sum of its rows before and after."""
    classifier = nn.Linear(8, 5, dtype=dtype)
    optimizer = optim.build(sgd, classifier.parameters())
    mixer, per_sample, draws = mix.build(mixing), losses.build(loss), mix.Draws.seeded(0, torch.device("cpu"))
    with torch.no_grad():
        classifier.weight.normal_(generator=draws.device)
    before = classifier.weight.sum(0).detach().clone()
    for step in range(EPOCHS * STEPS):
        x_B = torch.randn(16, 8, generator=draws.device, dtype=dtype)
        mixed = mixer(x_B, torch.randint(5, (16,), generator=draws.device), 5, draws)
        for group in optimizer.param_groups:
            group["lr"] = optim.rate(schedule, sgd.lr, EPOCHS, STEPS, step)
        optimizer.zero_grad()
        outputs = losses.Outputs(mixed.x_B, classifier(mixed.x_B), classifier.weight)
        per_sample(outputs, mixed.y_BK).mean().backward()
        optimizer.step()
    return before, classifier.weight.sum(0).detach()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("mixing", [NoMix(), Mixup()], ids=lambda m: m.kind)
@pytest.mark.parametrize("schedule", [MultiStep(), Cosine(warmup_epochs=1), Constant()], ids=lambda s: s.kind)
@pytest.mark.parametrize("decoupled", [False, True])
def test_the_sum_of_the_rows_obeys_the_recursion(decoupled, schedule, mixing, dtype):
    """One law for optimizer, schedule, step count and mixing, blind to data and network."""
    sgd = Sgd(lr=0.2, momentum=0.9, weight_decay=0.05, decoupled=decoupled)
    before, after = trained_sum(sgd, schedule, CrossEntropy(label_smoothing=0.1), mixing, dtype)
    tolerance = 1e-12 if dtype == torch.float64 else 1e-5
    torch.testing.assert_close(after, recursion(before, sgd, schedule), atol=tolerance, rtol=tolerance)


def test_the_recursion_is_no_law_for_mse():
    sgd = Sgd(lr=0.05, weight_decay=0.05)
    before, after = trained_sum(sgd, Constant(), Mse(), NoMix(), torch.float64)
    assert (after - recursion(before, sgd, Constant())).norm() > 0.1


@pytest.mark.parametrize(
    ("weight_decay", "published"),
    [(0.0, 1.75), (2.5e-5, 1.74), (5e-5, 1.72), (1e-4, 1.69), (5e-4, 1.48), (1e-3, 1.24), (2.5e-3, 0.74), (5e-3, 0.31)],
)
def test_the_recursion_gives_the_published_heat_map(weight_decay, published):
    """Zhao et al. 2026 (arXiv 2602.16642): 200 epochs of 469 steps, lr 1e-3 divided by ten at epochs 66 and 133.

    The rate is constant between the milestones, so each stretch is a power of a 2×2 matrix acting on (s, v).
    Start and end were published with two decimals, hence the tolerance.
    """
    schedule = MultiStep(milestones=(66, 133))
    state = torch.tensor([1.75, 0.0], dtype=torch.float64)
    for first, last in ((0, 66), (66, 133), (133, 200)):
        rate = optim.rate(schedule, 1e-3, 200, 469, first * 469)
        assert rate == optim.rate(schedule, 1e-3, 200, 469, last * 469 - 1)
        step = torch.tensor([[1 - rate * weight_decay, -rate * 0.9], [weight_decay, 0.9]], dtype=torch.float64)
        state = torch.linalg.matrix_power(step, (last - first) * 469) @ state
    assert abs(state[0].item()) == pytest.approx(published, abs=0.01)


@pytest.mark.parametrize("nesterov", [False, True])
def test_decoupled_sgd_against_the_definition(nesterov):
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64))
    frozen = nn.Parameter(torch.ones(2))
    sgd = Sgd(lr=0.1, momentum=0.8, weight_decay=0.3, nesterov=nesterov, decoupled=True)
    optimizer = optim.build(sgd, [weight, frozen])
    w, v = weight.detach().clone(), torch.zeros(3, dtype=torch.float64)
    for step in range(1, 6):
        optimizer.zero_grad()
        (weight**2).sum().backward()
        optimizer.step()
        g = 2 * w
        v = 0.8 * v + g
        w = (1 - 0.1 * 0.3) * w - 0.1 * (g + 0.8 * v if nesterov else v)
        torch.testing.assert_close(weight.detach(), w, msg=f"step {step}")
    assert frozen.tolist() == [1, 1]


def test_decoupled_sgd_resumes_from_its_state():
    def stepped(weight, optimizer, times):
        for _ in range(times):
            optimizer.zero_grad()
            (weight**4).sum().backward()
            optimizer.step()
        return weight

    def fresh(value):
        weight = nn.Parameter(torch.tensor(value, dtype=torch.float64))
        return weight, optim.build(Sgd(lr=0.01, weight_decay=0.1, decoupled=True), [weight])

    weight, optimizer = fresh([1.0, 2.0])
    stepped(weight, optimizer, 3)
    resumed, other = fresh(weight.tolist())
    other.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert torch.equal(stepped(weight, optimizer, 3), stepped(resumed, other, 3))


@pytest.mark.parametrize("part", [Adam(lr=0.01, betas=(0.8, 0.9), weight_decay=0.1), AdamW(lr=0.01, eps=1e-3)], ids=str)
def test_adam_and_adamw_are_pytorchs(part):
    reference = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[part.kind]
    ours, theirs = (nn.Parameter(torch.tensor([1.0, -2.0])) for _ in range(2))
    settings = {"lr": part.lr, "betas": part.betas, "eps": part.eps, "weight_decay": part.weight_decay}
    for weight, optimizer in ((ours, optim.build(part, [ours])), (theirs, reference([theirs], **settings))):
        for _ in range(5):
            optimizer.zero_grad()
            (weight**2).sum().backward()
            optimizer.step()
    assert torch.equal(ours, theirs)


def rates(schedule, epochs=EPOCHS, steps=STEPS, lr=0.8):
    return [optim.rate(schedule, lr, epochs, steps, step) for step in range(epochs * steps)]


def test_multistep_changes_at_the_start_of_an_epoch():
    assert rates(MultiStep(milestones=(2, 5), gamma=0.5), steps=2) == [0.8] * 4 + [0.4] * 6 + [0.2] * 2


@pytest.mark.parametrize(
    ("share", "epochs", "epoch"), [(0.333, 350, 116), (0.667, 350, 233), (0.29, 100, 29), (0.7, 10, 7), (0.333, 2, 1)]
)
def test_a_share_is_rounded_down_to_an_epoch(share, epochs, epoch):
    """Papyan's thirds of 350; 0.29·100 despite floating point; and never before the first epoch is over."""
    found = rates(MultiStep(milestones=(share,)), epochs=epochs, steps=1, lr=1.0)
    assert found.index(0.1) == epoch


def test_one_epoch_with_the_default_milestones_has_the_full_rate():
    assert rates(MultiStep(), epochs=1, steps=3) == [0.8] * 3


def test_cosine_goes_from_the_full_rate_to_the_final_share():
    found = rates(Cosine(final=0.25))
    assert found[0] == 0.8
    assert found == sorted(found, reverse=True)
    assert found[30] == pytest.approx(0.8 * (1 + 0.25) / 2)
    assert optim.rate(Cosine(final=0.25), 0.8, EPOCHS, STEPS, 60) == pytest.approx(0.2)


@pytest.mark.parametrize("schedule", [MultiStep, Cosine, Constant])
def test_warm_up_rises_by_the_step_to_the_full_rate(schedule):
    found = rates(schedule(warmup_epochs=1), epochs=9)
    assert found[:10] == pytest.approx([0.08 * (i + 1) for i in range(10)])
    assert found[10] == 0.8
    assert all(math.isfinite(r) for r in rates(schedule(warmup_epochs=EPOCHS)))


def test_cosine_after_warm_up_uses_what_is_left():
    found = rates(Cosine(warmup_epochs=2))
    assert found[20:] == pytest.approx([0.4 * (1 + math.cos(math.pi * i / 40)) for i in range(40)])


@pytest.mark.parametrize("choice", [Sgd(lr=0.1, momentum=0.9), Adam(), AdamW()], ids=lambda o: o.kind)
def test_they_step_as_those_of_pytorch_do(choice):
    """What is left out of them for a faster start takes nothing from what they compute, bit by bit."""
    theirs = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[choice.kind]
    ours_net = nn.Linear(8, 5)
    their_net = copy.deepcopy(ours_net)
    ours = optim.build(choice, ours_net.parameters())
    words = inspect.signature(theirs).parameters
    group = {word: value for word, value in ours.param_groups[0].items() if word in words and word != "params"}
    pairs = [(ours_net, ours), (their_net, theirs(their_net.parameters(), **group))]
    for x_B in torch.randn(20, 16, 8):
        for network, optimizer in pairs:
            optimizer.zero_grad()
            network(x_B).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(ours_net.state_dict(), their_net.state_dict(), rtol=0, atol=0)
    assert repr(ours.state_dict()) == repr(pairs[1][1].state_dict())


def test_training_on_a_cpu_does_not_load_the_compiler():
    """It would take a second of every start."""
    program = """
import sys
from pathlib import Path
from ncmix.datahome import DataHome
from ncmix.train import run
from tests.toys import toy
assert [item.epoch for item in run(toy(), "cpu", DataHome(Path()))]
assert "torch._dynamo" not in sys.modules
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=100)
