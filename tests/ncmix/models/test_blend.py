"""Blending inside a network: `network(x, Blend(place, apply))` mixes the samples where it is told to, nowhere else."""

import pytest
import torch

from ncmix.models import Blend
from ncmix.spec import DenseNet, Mlp, WideResNet
from tests.ncmix.models.zoo import BY_KIND, OURS, SMALL, inputs, network

SHAPE = (3, 16, 16)
PLACES = {"mlp": 3, "resnet9": 5, "wide_resnet": 4, "vgg11_bn": 6, "vgg13_bn": 6, "vgg16_bn": 6, "vgg19_bn": 6}
PLACES |= {"densenet": 4, "vit": 3, "timm": 1}


@pytest.mark.parametrize("model", SMALL, ids=lambda m: m.kind)
def test_there_is_a_place_before_and_after_every_stage(model):
    """Four stages in a ResNet, three groups or dense blocks, one for each hidden layer or token block; none of timm."""
    assert network(model, (3, 32, 32)).places == PLACES.get(model.kind, 5)


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.kind)
def test_it_is_applied_to_what_leaves_the_stage(model):
    net, x_B = network(model, SHAPE).eval(), inputs(SHAPE)
    left = [x_B]
    for stage in net.body.stages:
        stage.register_forward_hook(lambda _, __, out: left.append(out.clone()))
    plain = net(x_B)
    for place in range(net.places):
        seen = []
        blended = net(x_B, Blend(place, lambda a_B: seen.append(a_B.clone()) or a_B.flip(0)))  # noqa: B023
        assert len(seen) == 1
        assert torch.equal(seen[0], left[place])
        # In eval mode samples do not see each other: turned round inside is turned round outside.
        for before, after in zip(plain, blended, strict=True):
            torch.testing.assert_close(after, before.flip(0), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("model", OURS, ids=lambda m: m.kind)
def test_gradients_flow_through_a_mixture_at_every_place(model):
    net, x_B = network(model, SHAPE), inputs(SHAPE)
    for place in range(net.places):
        net(x_B, Blend(place, lambda a_B: torch.lerp(a_B.flip(0), a_B, 0.3)))[1].square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


def test_the_places_of_mixed_inputs_and_mixed_features():
    """Place 0 is input mixup; after the last hidden layer of an MLP it is the features that are mixed."""
    net, x_B = network(Mlp(hidden=(6, 5)), (4,)), inputs((4,))
    mixed = lambda a_B: 0.3 * a_B + 0.7 * a_B.flip(0)  # noqa: E731
    torch.testing.assert_close(net(x_B, Blend(0, mixed))[0], net(mixed(x_B))[0])
    torch.testing.assert_close(net(x_B, Blend(2, mixed))[0], mixed(net(x_B)[0]))


@pytest.mark.parametrize("model", [BY_KIND["mlp"], BY_KIND["timm"]], ids=lambda m: m.kind)
@pytest.mark.parametrize("place", [-1, 3])
def test_a_place_that_is_not_there_is_refused(model, place):
    net = network(model, (3, 32, 32))
    with pytest.raises(ValueError, match=rf"no place {place} .* 0 to {net.places - 1}"):
        net(inputs((3, 32, 32)), Blend(place, torch.clone))


@pytest.mark.parametrize("model", [DenseNet(depth=16, growth=4), WideResNet(depth=10, width=1)], ids=lambda m: m.kind)
def test_stages_halve_the_picture_between_them(model):
    sizes, net = [], network(model, SHAPE)
    for stage in net.body.stages:
        stage.register_forward_hook(lambda _, __, out: sizes.append(out.shape[2]))
    net(inputs(SHAPE))
    assert sizes == [16, 8, 4]
