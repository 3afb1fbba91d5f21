"""Networks: `models.build(model, head, shape, classes, seed)` maps inputs to (features, logits)."""

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from ncmix import models
from ncmix.spec import ConvNet, LinearHead, Mlp, ResNet18

SMALL = [Mlp(hidden=(24, 16)), ConvNet(width=0.25), ResNet18(width=0.125)]


def network(model=SMALL[0], shape=(1, 8, 8), classes=10, seed=0, bias=True):
    return models.build(model, LinearHead(bias=bias), shape, classes, seed)


def parameters(net):
    return sum(p.numel() for p in net.parameters())


def inputs(shape, count=4):
    return torch.randn(count, *shape, generator=torch.Generator().manual_seed(0))


def test_resnet18_is_the_published_network():
    """11,173,962 parameters for ten classes: 3×3 stem, no max-pool, 512 features."""
    assert parameters(network(ResNet18(), (3, 32, 32))) == 11_173_962


@pytest.mark.parametrize("model", SMALL, ids=lambda m: m.kind)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 8, 8), (3, 13, 9), (1, 28, 28), (3, 32, 32)], ids=str)
def test_gray_and_colour_of_any_size(model, shape):
    net = network(model, shape, classes=7)
    h_BD, z_BK = net(inputs(shape))
    assert h_BD.shape == (4, net.weight.shape[1])
    assert z_BK.shape == (4, 7)
    z_BK.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_mlp_takes_vectors_too():
    h_BD, z_BK = network(Mlp(hidden=(12,)), (5,), classes=3)(inputs((5,)))
    assert (h_BD.shape, z_BK.shape) == ((4, 12), (4, 3))


@pytest.mark.parametrize("model", SMALL, ids=lambda m: m.kind)
@pytest.mark.parametrize("bias", [True, False])
def test_features_are_what_the_classifier_reads(model, bias):
    net = network(model, bias=bias)
    h_BD, z_BK = net(inputs((1, 8, 8)))
    assert (net.bias is not None) == bias
    torch.testing.assert_close(z_BK, linear(h_BD, net.weight, net.bias))


@pytest.mark.parametrize("model", SMALL, ids=lambda m: m.kind)
def test_features_come_after_the_last_relu(model):
    h_BD, _ = network(model)(inputs((1, 8, 8)))
    assert (h_BD >= 0).all()


@pytest.mark.parametrize("model", SMALL, ids=lambda m: m.kind)
def test_the_seed_decides_the_weights(model):
    """All 63 bits of it, though torch's generator on the CPU would drop the upper ones."""
    first, again, *others = (network(model, seed=s).state_dict() for s in (3, 3, 4, 3 + 2**32))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not any(torch.equal(first["head.weight"], other["head.weight"]) for other in others)


def test_building_leaves_the_global_generator_and_default_device_alone():
    before = torch.get_rng_state()
    with torch.device("meta"):
        net = network(ConvNet(width=0.25))
    assert torch.equal(torch.get_rng_state(), before)
    assert {p.device.type for p in net.parameters()} == {"cpu"}


def test_the_body_does_not_depend_on_the_bias_of_the_head():
    with_bias, without = (network(bias=b) for b in (True, False))
    assert torch.equal(with_bias.weight, without.weight)


@pytest.mark.parametrize("kind", [ConvNet, ResNet18])
def test_width_scales_the_features(kind):
    dims = [network(kind(width=w), (3, 8, 8)).weight.shape[1] for w in (0.25, 0.5, 1.0)]
    assert dims == [dims[2] // 4, dims[2] // 2, dims[2]]


def test_a_minimal_width_still_is_a_network():
    assert network(ResNet18(width=1e-9), (3, 8, 8))(inputs((3, 8, 8)))[0].shape == (4, 1)


def test_resnet18_starts_as_he_et_al_do():
    """Normal weights of variance 2 / (9 · channels out) in the 3×3 convolutions."""
    net = network(ResNet18(width=0.5), (3, 32, 32))
    widest = [m for m in net.modules() if isinstance(m, nn.Conv2d)][-1]
    assert widest.weight.std().item() == pytest.approx(math.sqrt(2 / (9 * 256)), rel=0.01)


def test_measuring_a_copy_leaves_the_statistics_of_the_network_alone():
    net = network(ConvNet(width=0.25))
    before = {name: t.clone() for name, t in net.state_dict().items()}
    twin = copy.deepcopy(net)
    twin(inputs((1, 8, 8)))
    assert all(torch.equal(t, before[name]) for name, t in net.state_dict().items())
    assert not all(torch.equal(t, before[name]) for name, t in twin.state_dict().items())
