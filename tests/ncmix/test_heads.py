"""Heads: `heads.build(head, dim, classes)` gives features their logits, z = h Wᵀ + b with W and b in plain sight."""

import math

import pytest
import torch
from torch.nn.functional import cross_entropy, linear

from ncmix import heads, models
from ncmix.datahome import DataHome
from ncmix.heads import HeadError
from ncmix.results import Snapshot
from ncmix.spec import EtfHead, LinearHead, Mlp, NormalizedHead, parse
from ncmix.train import run

ALL = [LinearHead(), LinearHead(bias=False), NormalizedHead(tau=5.0), EtfHead(m=2.0)]


def network(head, hidden=(16,), classes=4, seed=0):
    return models.build(Mlp(hidden=hidden), head, (6,), classes, seed)


def inputs(count=8):
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("head", ALL, ids=str)
def test_logits_are_those_of_the_features(head):
    net = network(head)
    h_BD, z_BK = net(inputs())
    assert net.weight.shape == (4, 16)
    torch.testing.assert_close(z_BK, linear(h_BD, net.weight, net.bias))
    torch.testing.assert_close(z_BK, net.head(h_BD))


@pytest.mark.parametrize("tau", [0.5, 1.0, 20.0])
def test_normalized_logits_are_cosines_times_tau(tau):
    """Yaras et al. 2022: features and classifiers on the unit sphere."""
    net = network(NormalizedHead(tau=tau))
    h_BD, z_BK = net(inputs())
    cosine_BK = torch.cosine_similarity(net.body(inputs())[:, None], net.head.direction[None], dim=2)
    torch.testing.assert_close(h_BD.norm(dim=1), torch.ones(8))
    torch.testing.assert_close(net.weight.norm(dim=1), torch.full((4,), tau))
    torch.testing.assert_close(z_BK, tau * cosine_BK)
    assert net.bias is None


def test_normalized_training_never_leaves_the_sphere_nor_moves_along_the_radius():
    net = network(NormalizedHead(tau=5.0))
    cross_entropy(net(inputs())[1], torch.arange(8) % 4).backward()
    radial_K = (net.head.direction.grad * net.head.direction).sum(1)
    torch.testing.assert_close(radial_K, torch.zeros(4), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("classes", "dim"), [(2, 1), (2, 8), (4, 3), (4, 4), (10, 64), (100, 512)])
@pytest.mark.parametrize("m", [1.0, 7.5])
def test_etf_is_a_simplex(classes, dim, m):
    """‖w_k‖² = m, ⟨w_k, w_l⟩ = −m/(K−1), in as few as K − 1 dimensions; so Σ_k w_k = 0."""
    w_KD = heads.build(EtfHead(m=m), dim, classes).weight.double()
    gram_KK = m * (classes * torch.eye(classes, dtype=torch.float64) - 1) / (classes - 1)
    torch.testing.assert_close(w_KD @ w_KD.T, gram_KK, atol=1e-6 * m, rtol=1e-6)


def test_etf_has_the_published_form():
    """W = √(mK/(K−1)) (I − 11ᵀ/K) Qᵀ: a Q with QᵀQ = I_K exists, here W's own directions and one beside them."""
    classes, dim, m = 5, 12, 3.0
    w_KD = heads.build(EtfHead(m=m), dim, classes).weight.double()
    scale, ones_K = math.sqrt(m * classes / (classes - 1)), torch.ones(classes, dtype=torch.float64)
    beside_D = torch.linalg.svd(w_KD, full_matrices=True)[2][-1]
    q_DK = w_KD.T / scale + torch.outer(beside_D, ones_K) / math.sqrt(classes)
    centred_KK = torch.eye(classes, dtype=torch.float64) - torch.outer(ones_K, ones_K) / classes
    torch.testing.assert_close(q_DK.T @ q_DK, torch.eye(classes, dtype=torch.float64), atol=1e-6, rtol=0)
    torch.testing.assert_close(scale * centred_KK @ q_DK.T, w_KD, atol=1e-6, rtol=0)


def test_etf_is_drawn_by_the_seed_and_not_trained():
    first, again, other = (network(EtfHead(), seed=s) for s in (1, 1, 2))
    assert torch.equal(first.weight, again.weight)
    assert not torch.allclose(first.weight, other.weight)
    assert not [name for name, _ in first.named_parameters() if name.startswith("head")]
    assert any(torch.equal(t, first.weight) for t in first.state_dict().values())


def test_etf_in_too_few_dimensions_is_refused():
    with pytest.raises(HeadError, match="10 classes needs 9 features or more, but the model gives 8"):
        heads.build(EtfHead(), 8, 10)


@pytest.mark.parametrize("head", [{"kind": "normalized", "tau": 10.0}, "etf"], ids=str)
def test_a_run_measures_the_effective_classifier(head):
    """The classifier of the record is an exact simplex under etf, and of norm τ under normalized, before and after."""
    data = {"kind": "gaussian", "classes": 4, "dim": 8, "train_per_class": 20, "test_per_class": 5}
    fields = {"dataset": data, "model": {"kind": "mlp", "hidden": [16]}, "head": head, "epochs": 2, "batch_size": 20}
    spec = parse({**fields, "measure": {"epochs": [0, 2], "geometry": {"per_pair": 8, "lambdas": 5}}, "device": "cpu"})
    events = [e for e in run(spec, home=DataHome("unused")) if isinstance(e, Snapshot)]
    for values in ({m.name: m.value for m in e.metrics if m.split == "train"} for e in (events[0], events[-1])):
        assert values["nc2_norm_weights"] == pytest.approx(0, abs=1e-6)
        assert (values["nc2_etf_weights"] < 1e-6) == (head == "etf")
    losses = [m.value for e in events for m in e.metrics if (m.split, m.name) == ("train", "loss")]
    assert losses[-1] < losses[0]
