"""Networks: `models.build(model, head, shape, classes, seed)` maps inputs to (features, logits)."""

import copy

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from ncmix.spec import ConvNet, LinearHead, Mlp, PreActResNet18, ResNet9, ResNet18, ResNet50, Vgg
from tests.ncmix.models.zoo import OURS, SMALL, inputs, network

every = pytest.mark.parametrize("model", SMALL, ids=lambda m: m.kind)


@every
@pytest.mark.parametrize("shape", [(1, 32, 32), (3, 32, 32)], ids=["gray", "colour"])
def test_two_steps_of_training(model, shape):
    """Shapes are right, every parameter moves, and the logits are those of the features."""
    net = network(model, shape, classes=7)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(2):
        h_BD, z_BK = net(inputs(shape))
        optimizer.zero_grad()
        cross_entropy(z_BK, torch.arange(4)).backward()
        optimizer.step()
    assert (h_BD.shape, z_BK.shape) == ((4, net.weight.shape[1]), (4, 7))
    assert all(torch.isfinite(p).all() for p in net.parameters())
    assert not [name for name, p in net.named_parameters() if torch.equal(p, before[name])]
    h_BD, z_BK = net.eval()(inputs(shape))
    torch.testing.assert_close(z_BK, linear(h_BD, net.weight, net.bias))
    torch.testing.assert_close(z_BK, net.head(h_BD))


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.kind)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 13, 9), (1, 28, 28), (1, 1, 1)], ids=str)
def test_pictures_of_any_size(model, shape):
    h_BD, z_BK = network(model, shape).eval()(inputs(shape))
    assert (h_BD.shape, z_BK.shape) == ((4, model.feature_dim), (4, 10))
    assert torch.isfinite(z_BK).all()


def test_mlp_takes_vectors_too():
    h_BD, z_BK = network(Mlp(hidden=(12,)), (5,), classes=3)(inputs((5,)))
    assert (h_BD.shape, z_BK.shape) == ((4, 12), (4, 3))


def test_a_head_without_bias():
    net = network(head=LinearHead(bias=False))
    h_BD, z_BK = net(inputs((1, 8, 8)))
    assert net.bias is None
    torch.testing.assert_close(z_BK, linear(h_BD, net.weight))


@pytest.mark.parametrize("model", [m for m in OURS if m.kind != "vit"], ids=lambda m: m.kind)
def test_features_come_after_the_last_relu(model):
    h_BD, _ = network(model)(inputs((1, 8, 8)))
    assert (h_BD >= 0).all()


@every
def test_the_seed_decides_the_weights(model):
    """All 63 bits of it, though torch's generator on the CPU would drop the upper ones."""
    first, again, *others = (network(model, seed=s) for s in (3, 3, 4, 3 + 2**32))
    assert all(torch.equal(t, again.state_dict()[name]) for name, t in first.state_dict().items())
    assert not any(torch.equal(first.weight, other.weight) for other in others)


@every
def test_building_leaves_the_global_generator_and_default_device_alone(model):
    before = torch.get_rng_state()
    with torch.device("meta"):
        net = network(model)
    assert torch.equal(torch.get_rng_state(), before)
    assert {t.device.type for t in net.state_dict().values()} == {"cpu"}
    assert all(module.training for module in net.modules())


def test_the_body_does_not_depend_on_the_bias_of_the_head():
    with_bias, without = (network(head=LinearHead(bias=bias)) for bias in (True, False))
    assert torch.equal(with_bias.weight, without.weight)


@pytest.mark.parametrize("kind", [ConvNet, ResNet9, ResNet18, ResNet50, PreActResNet18])
def test_width_scales_the_features(kind):
    dims = [kind(width=w).feature_dim for w in (0.25, 0.5, 1.0)]
    assert dims == [dims[2] // 4, dims[2] // 2, dims[2]]


@pytest.mark.parametrize("model", [ResNet18(width=1e-9), Vgg(kind="vgg11_bn", width=1e-9)], ids=lambda m: m.kind)
def test_a_minimal_width_still_is_a_network(model):
    assert network(model, (3, 8, 8))(inputs((3, 8, 8)))[0].shape == (4, 1)


def test_measuring_a_copy_leaves_the_statistics_of_the_network_alone():
    net = network(ConvNet(width=0.25))
    before = {name: t.clone() for name, t in net.state_dict().items()}
    twin = copy.deepcopy(net)
    twin(inputs((1, 8, 8)))
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert not all(torch.equal(t, before[name]) for name, t in twin.state_dict().items())
