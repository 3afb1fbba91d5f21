"""Models of timm: any of them by its name, untrained, its features those that its own classifier would read."""

import socket

import pytest
import timm
import torch

from ncmix.models import ModelError
from ncmix.spec import Timm
from ncmix.spec.network import timm_names
from tests.ncmix.models.zoo import inputs, network

# Small members of several families: convolutions, attention with a fixed image size, features behind one more layer.
TINY = ["test_resnet", "test_convnext", "test_vit", "test_efficientnet", "mobilenetv3_small_050", "levit_128s"]


def test_the_names_that_a_spec_may_say_are_timm_s():
    """If timm has moved on: the first line of ncmix/spec/timm_names.txt says how it is written."""
    assert sorted(timm_names()) == sorted(timm.list_models())


@pytest.mark.parametrize("name", TINY)
def test_features_are_what_timm_s_own_classifier_reads(name):
    net = network(Timm(name=name), (3, 32, 32)).eval()
    x_B = inputs((3, 32, 32))
    h_BD, z_BK = net(x_B)
    assert z_BK.shape == (4, 10)
    torch.testing.assert_close(h_BD, net.body.tail.model(x_B))


@pytest.mark.parametrize("name", TINY)
def test_a_body_without_a_classifier_of_its_own(name):
    """Every parameter has a gradient: nothing is left of the thousand classes of ImageNet."""
    net = network(Timm(name=name), (1, 64, 64))
    net(inputs((1, 64, 64)))[1].square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())


def test_models_that_have_to_know_the_image_size_are_told():
    assert network(Timm(name="test_vit"), (3, 64, 48)).body.tail.model.patch_embed.img_size == (64, 48)


def test_the_trial_leaves_batch_statistics_untouched():
    state = network(Timm(name="test_resnet"), (3, 32, 32)).state_dict()
    assert not any(t.any() for name, t in state.items() if name.endswith(("running_mean", "num_batches_tracked")))


def test_inputs_that_it_was_not_made_for_are_a_sentence():
    with pytest.raises(ModelError, match=r"test_vit does not work with inputs of shape \(1, 28, 28\): .*16"):
        network(Timm(name="test_vit"), (1, 28, 28))


def test_an_older_timm_is_a_sentence(monkeypatch):
    monkeypatch.setattr(timm, "is_model", lambda _: False)
    with pytest.raises(ModelError, match="installed here has no model 'test_vit'"):
        network(Timm(name="test_vit"), (3, 32, 32))


def test_nothing_is_downloaded(monkeypatch):
    def refuse(*_):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    network(Timm(name="test_resnet"), (3, 32, 32))
