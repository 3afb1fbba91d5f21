"""What a step changes can be put back to the bit, and two ways to make a step can be compared."""

import torch
from torch import nn

from ncmix.stepping import Moving, State


def moving(rate: float = 0.1) -> Moving:
    """A small network with statistics, dropout and momentum, on the CPU."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 3))
    optimizer = torch.optim.SGD(network.parameters(), lr=rate, momentum=0.9)
    return Moving(network, optimizer, torch.zeros(3, dtype=torch.float64), torch.Generator().manual_seed(1))


def step(one: Moving, scale: float = 1.0) -> None:
    """Train on a batch that is drawn."""
    x_BD = scale * torch.randn(16, 6, generator=one.generator)
    loss_B = one.network(x_BD).square().sum(1)
    one.optimizer.zero_grad(set_to_none=True)
    loss_B.mean().backward()
    one.optimizer.step()
    one.sums.add_(torch.stack([loss_B.sum().detach(), torch.tensor(1.0), torch.tensor(16.0)]))


def warmed(rate: float = 0.1) -> Moving:
    made = moving(rate)
    step(made)
    return made


def stepped() -> tuple[Moving, State, State]:
    """What is moving, and how it was before and after a step."""
    one = warmed()
    before = one.take()
    step(one)
    return one, before, one.take()


def test_what_is_put_back_goes_the_same_way_again():
    one, before, first = stepped()
    one.put(before)
    step(one)
    assert all(torch.equal(a, b) for a, b in zip(one.take().tensors, first.tensors, strict=True))
    assert torch.equal(one.generator.get_state(), first.generator)
    assert one.difference(before, first) == 0.0


def test_the_tensors_stay_where_they_are():
    one = warmed()
    where = [t.data_ptr() for group in one.groups() for t in group]
    before = one.take()
    step(one)
    one.put(before)
    assert [t.data_ptr() for group in one.groups() for t in group] == where


def test_a_step_of_another_batch_or_length_is_not_alike_and_rounding_is():
    one, before, proper = stepped()
    for change, alike in ((0.0, True), (1e-3, True), (0.3, False)):
        one.put(before)
        step(one, scale=1.0 + change)
        assert one.alike(before, proper) is alike, change
    one.put(before)
    torch.rand(1, generator=one.generator)
    step(one)
    assert not one.alike(before, proper)
    one.put(before)
    for group in one.optimizer.param_groups:
        group["lr"] = 0.2
    step(one)
    assert not one.alike(before, proper)


def test_a_step_that_was_not_made_is_as_far_away_as_it_is_long():
    one, before, proper = stepped()
    one.put(before)
    assert one.difference(before, proper) == float("inf")
    step(one)
    assert one.difference(before, before) == 1.0


def test_the_diverged_are_alike():
    one, before, _ = stepped()
    with torch.no_grad():
        next(one.network.parameters()).fill_(torch.nan)
    other = one.take()
    assert one.alike(before, other)
