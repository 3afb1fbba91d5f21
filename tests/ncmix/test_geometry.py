"""The mixed probe: `geometry.run_probe(network, data, spec, …)` gives the picture of three classes and its scalars."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from ncmix import geometry, theory
from ncmix.datasets.base import Data, Whole
from ncmix.geometry.ufm import nearest_etf
from ncmix.mix import Draws
from ncmix.results import Probe
from ncmix.spec import Geometry

CLASSES = 5
NAMES = ("a", "b", "c", "d", "e")
SCALARS = ["mix_same_alignment", "mix_amplification", "mix_logit_slope", "mix_logit_corr", "mix_ufm_residual"]


def simplex(classes=CLASSES, m=1.0):
    return (m * classes / (classes - 1)) ** 0.5 * (torch.eye(classes) - 1 / classes)


def vectors(per_class=40, noise=0.0, classes=CLASSES):
    """A data set whose inputs are the unit vector of their class, and noise."""
    y = torch.arange(per_class * classes) % classes
    x = torch.eye(classes)[y] + noise * torch.randn(len(y), classes, generator=torch.Generator().manual_seed(0))
    split = Whole(x, y)
    return Data(split, split, NAMES[:classes], torch.zeros(1), torch.ones(1))


class Net(nn.Module):
    """Any function of the inputs as features, and a classifier with a simplex ETF for weights."""

    def __init__(self, features, w_KD=None, bias=None):
        super().__init__()
        self.features = features
        self.weight = nn.Parameter(simplex() if w_KD is None else w_KD)
        self.bias = bias

    def forward(self, x_B):
        h_BD = self.features(x_B)
        return h_BD, nn.functional.linear(h_BD, self.weight.to(h_BD.dtype), self.bias)


def means_of(network, data):
    h = network.eval()(data.normalize(data.train.x))[0].detach()
    return torch.stack([h[data.train.y == k].double().mean(0) for k in range(len(data.classes))])


def probed(network, data, seed=0, **wanted):
    means_KD = means_of(network, data)
    draws = Draws.seeded(seed, torch.device("cpu"))
    probe, scalars = geometry.run_probe(network, data, Geometry(**wanted), means_KD.mean(0), means_KD, draws)
    assert [m.name for m in scalars] == SCALARS
    assert {m.split for m in scalars} == {"train"}
    return probe, {m.name: m.value for m in scalars}


@pytest.mark.parametrize("classes", [3, 10])
def test_an_etf_lands_on_an_equilateral_triangle_of_its_own_size(classes):
    """The side is ‖w_i − w_j‖ = √(2mK/(K−1)), the first two classes lie on a horizontal line, the third above."""
    w_KD = simplex(classes, m=3.0)
    a, b, c = geometry.Plane.through(w_KD[:3]).points(w_KD[:3])
    side = (2 * 3.0 * classes / (classes - 1)) ** 0.5
    for one, other in [(a, b), (b, c), (a, c)]:
        assert torch.linalg.norm(one - other).item() == pytest.approx(side, rel=1e-6)
    assert torch.allclose(a + b + c, torch.zeros(2).double(), atol=1e-6)
    assert a[1].item() == pytest.approx(b[1].item(), abs=1e-6)
    assert c[1] > a[1]
    assert a[0] > b[0]


def test_what_is_orthogonal_to_the_plane_is_not_seen():
    w_3D = torch.eye(3, 6)
    plane = geometry.Plane.through(w_3D)
    beside = torch.tensor([[0.0, 0, 0, 7, -3, 1], [5.0, 5, 5, 0, 0, 0]])
    assert torch.allclose(plane.points(beside), torch.zeros(2, 2).double(), atol=1e-6)


def test_three_equal_classifiers_span_no_plane_and_a_diverged_one_gives_no_points():
    assert (geometry.Plane.through(torch.ones(3, 6)).points(torch.randn(4, 6)) == 0).all()
    assert torch.isnan(geometry.Plane.through(torch.full((3, 6), torch.nan)).points(torch.randn(4, 6))).all()


def test_the_picture_has_every_pair_of_classes_equally_often_with_uniform_lambda():
    data = vectors()
    probe, _ = probed(Net(lambda x: x @ simplex()), data, classes=(4, 0, 2), per_pair=500)
    pairs, counts = np.unique(np.stack([probe.first, probe.second]), axis=1, return_counts=True)
    assert {tuple(p) for p in pairs.T.tolist()} == {(4, 4), (0, 0), (2, 2), (4, 0), (0, 2), (4, 2)}
    assert (counts == 500).all()
    assert np.abs(np.histogram(probe.lam, 10, (0, 1))[0] - 300).max() < 80
    assert probe.classes == (4, 0, 2)
    assert probe.class_names == ("e", "a", "c")
    assert probe.points.shape == (3000, 2)
    assert probe.points.dtype == np.float32
    assert probe.mode == "eval"


def test_a_linear_network_puts_mixtures_on_the_segments_between_its_classifiers():
    probe, found = probed(Net(lambda x: x @ simplex()), vectors())
    places = {k: probe.classifier[i] for i, k in enumerate(probe.classes)}
    first, second = (np.stack([places[k] for k in side]) for side in (probe.first, probe.second))
    np.testing.assert_allclose(probe.points, probe.lam[:, None] * (first - second) + second, atol=1e-6)
    assert found["mix_amplification"] == pytest.approx(1, abs=1e-6)
    assert found["mix_same_alignment"] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("lambdas", [3, 20, 21])
def test_features_that_stick_out_between_the_classes_are_amplified(lambdas):
    """With x = λe_i + (1−λ)e_j, 2 − ‖x‖² is 1 at the ends and 1.5 in the middle, which an even grid lacks."""
    network = Net(lambda x: (x @ simplex()) * (2 - x.square().sum(1, keepdim=True)))
    assert probed(network, vectors(), lambdas=lambdas)[1]["mix_amplification"] == pytest.approx(1.5, abs=1e-6)


def test_an_offset_of_all_features_does_not_matter():
    data = vectors(noise=0.3)
    plain, moved = (Net(lambda x, offset=offset: torch.relu(x @ simplex()) + offset) for offset in (0.0, 50.0))
    assert probed(moved, data)[1] == pytest.approx(probed(plain, data)[1], abs=1e-4)


def optimal(lambda_h, m):
    """The features of the theory, for inputs that are mixtures of unit vectors."""

    def features(x_B):
        order = x_B.argsort(dim=1, descending=True)
        i, j = order[:, 0], order[:, 1]
        lam = x_B.gather(1, i[:, None])[:, 0].double().clamp(0, 1)
        o = theory.optimum(CLASSES, m, lambda_h, lam.numpy())
        along_i, along_j = (torch.from_numpy(np.asarray(a))[:, None] for a in (o.along_i, o.along_j))
        w_KD = simplex(m=m).double()
        return along_i * w_KD[i] + along_j * w_KD[j]

    return Net(features, simplex(m=m))


def test_features_of_the_theory_have_no_residual_and_more_decay_is_another_channel():
    for lambda_h, m in [(1e-4, 1.0), (3e-2, 2.0)]:
        found = probed(optimal(lambda_h, m), vectors())[1]
        assert found["mix_ufm_residual"] < 2e-4
        assert found["mix_same_alignment"] == pytest.approx(1, abs=1e-6)
        assert 1 < found["mix_amplification"] < 2
    convex = probed(Net(lambda x: x @ simplex()), vectors())[1]
    assert convex["mix_ufm_residual"] < 1e-2  # κ → 0 is the convex combination
    opposite = probed(Net(lambda x: -x @ simplex()), vectors())[1]
    assert opposite["mix_ufm_residual"] == 1
    assert opposite["mix_same_alignment"] == pytest.approx(-1, abs=1e-6)


def test_the_logits_of_the_theory_tell_lambda_as_the_decay_vanishes():
    slopes = [probed(optimal(lambda_h, 1.0), vectors())[1]["mix_logit_slope"] for lambda_h in (1, 1e-2, 1e-4, 1e-8)]
    errors = [abs(slope - 1) for slope in slopes]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < 1e-6
    assert probed(optimal(1e-8, 1.0), vectors())[1]["mix_logit_corr"] == pytest.approx(1, abs=1e-6)


def test_the_best_fit_finds_the_parameters_that_made_the_features():
    classes, m, lambda_h, lambdas = 7, 2.5, 1e-3, 11
    w_KD = simplex(classes, m).double()
    lam, same = np.linspace(0, 1, lambdas), theory.same_class(classes, m, lambda_h)
    mixed = theory.optimum(classes, m, lambda_h, lam)
    cells = [np.tile(same.along_i * w_KD[k].numpy(), (lambdas, 1)) for k in range(3)]
    cells += [np.outer(mixed.along_i, w_KD[i]) + np.outer(mixed.along_j, w_KD[j]) for i, j in [(0, 1), (1, 2), (0, 2)]]
    fit = geometry.fit_ufm(torch.from_numpy(np.concatenate(cells)), w_KD[:3], classes)
    assert fit.residual < 2e-4
    assert fit.kappa == pytest.approx(m * classes / ((classes - 1) * lambda_h), rel=0.01)
    assert fit.scale == pytest.approx(m**-0.5, rel=0.001)


def test_the_picture_carries_the_paths_of_the_theory_that_fits_best():
    """Features that are the theory's lie on its paths, whose parameters are those that made them."""
    for lambda_h, m in [(1e-2, 1.0), (3e-2, 2.0)]:
        probe = probed(optimal(lambda_h, m), vectors())[0]
        assert probe.theory.m == pytest.approx(m, rel=0.01)
        assert probe.theory.lambda_h == pytest.approx(lambda_h, rel=0.02)
        assert probe.theory.residual < 2e-4
        size = np.linalg.norm(probe.theory.same, axis=1).mean()
        within = probe.first == probe.second
        np.testing.assert_allclose(probe.points[within], probe.theory.same[probe.first[within]], atol=1e-3 * size)
        for path, (i, j) in zip(probe.theory.different, [(0, 1), (1, 2), (0, 2)], strict=True):
            points = probe.points[(probe.first == i) & (probe.second == j)]
            gaps = np.linalg.norm(points[:, None] - path, axis=2).min(axis=1)
            assert gaps.max() < np.linalg.norm(np.diff(path, axis=0), axis=1).max()


def test_a_picture_of_train_mode_or_without_an_optimum_has_no_paths():
    network, data = optimal(1e-2, 1.0), vectors()
    assert probed(network, data, mode="train")[0].theory is None
    assert probed(Net(torch.zeros_like), data)[0].theory is None
    assert probed(Net(lambda x: -x @ simplex()), data)[0].theory is None


def test_a_probe_is_the_same_after_storing_also_one_of_before_there_was_theory():
    probe = probed(optimal(1e-2, 1.0), vectors())[0]
    stored = probe.to_set()
    facts = json.loads(json.dumps(stored.facts))
    for kept, expected in [(facts, probe.theory), ({k: v for k, v in facts.items() if k != "theory"}, None)]:
        again = Probe.from_set(stored.arrays, kept)
        np.testing.assert_array_equal(again.points, probe.points)
        assert (again.theory is None) is (expected is None)
        if expected:
            np.testing.assert_array_equal(again.theory.different, expected.different)
            assert again.theory.to_facts() == expected.to_facts()


def test_the_answer_to_lambda_is_that_of_the_theory_where_the_features_are():
    lambda_h, m = 1e-2, 1.0
    answer = probed(optimal(lambda_h, m), vectors())[0].response
    expected = theory.optimum(CLASSES, m, lambda_h, answer.lam)
    np.testing.assert_allclose(answer.gap, np.tile(expected.gap[:, None], 3), atol=1e-4)
    np.testing.assert_allclose(answer.theory_gap, expected.gap, rtol=0.02, atol=1e-6)
    np.testing.assert_allclose(answer.theory_ahead, answer.ahead, rtol=0.01)
    assert answer.ahead_std.max() < 1e-4
    assert answer.ahead[10].mean() == pytest.approx(answer.ahead.max(), rel=1e-6)


def test_the_answer_to_lambda_is_flat_where_features_are_linear_and_agrees_with_the_scalar():
    linear, found = probed(Net(lambda x: x @ simplex()), vectors())
    np.testing.assert_allclose(linear.response.ahead, 1, atol=1e-6)
    bent, found = probed(Net(lambda x: (x @ simplex()) * (2 - x.square().sum(1, keepdim=True))), vectors())
    assert bent.response.ahead[10].mean() == pytest.approx(found["mix_amplification"], abs=1e-6)
    assert bent.response.gap[10] == pytest.approx([0, 0, 0], abs=1e-6)
    assert probed(Net(torch.zeros_like), vectors())[0].response.theory_gap is None
    assert np.isnan(probed(Net(torch.zeros_like), vectors())[0].response.ahead).all()


def test_the_answer_to_lambda_is_the_same_after_storing_also_where_it_is_undefined():
    for network in (optimal(1e-2, 1.0), Net(torch.zeros_like)):
        probe = probed(network, vectors())[0]
        stored = probe.to_set()
        facts = json.loads(json.dumps(stored.facts, allow_nan=False))
        again = Probe.from_set(stored.arrays, facts).response
        for name, array in vars(probe.response).items():
            kept = getattr(again, name)
            assert kept is None if array is None else np.array_equal(kept, array, equal_nan=True)
        facts.pop("response")
        assert Probe.from_set(stored.arrays, facts).response is None


def test_the_nearest_etf_of_an_etf_is_itself():
    for classes in (3, 4, 100):
        q, _ = torch.linalg.qr(torch.randn(100, 100, generator=torch.Generator().manual_seed(0)).double())
        w_3D = (simplex(classes).double() @ q[:classes])[:3]
        torch.testing.assert_close(nearest_etf(5 * w_3D, classes), w_3D, rtol=0, atol=1e-6)


class Normed(nn.Module):
    """Features that depend on the batch, and on what dropout draws; every copy notes its batches in one list."""

    def __init__(self):
        super().__init__()
        self.norm, self.drop = nn.BatchNorm1d(CLASSES), nn.Dropout(0.1)
        self.seen = []

    def __deepcopy__(self, memo):
        copy = Normed()
        copy.load_state_dict(self.state_dict())
        copy.seen = self.seen
        return copy

    def forward(self, x_B):
        self.seen.append(x_B)
        return self.drop(self.norm(x_B))


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_live_network_and_the_global_generators_stay_as_they_were(mode):
    network, data = Net(Normed()).train(), vectors(noise=0.2)
    network.features(torch.randn(64, CLASSES))
    means_KD = torch.randn(CLASSES, CLASSES)
    before = {name: t.clone() for name, t in network.state_dict().items()}
    state = torch.get_rng_state()
    asked = Geometry(mode=mode)
    probe, _ = geometry.run_probe(
        network, data, asked, means_KD.mean(0), means_KD, Draws.seeded(0, torch.device("cpu"))
    )
    assert probe.mode == mode
    assert network.training
    assert torch.equal(torch.get_rng_state(), state)
    for name, t in network.state_dict().items():
        assert torch.equal(t, before[name]), name
    assert all(t.grad is None for t in network.parameters())


def test_train_mode_uses_batches_in_which_all_pairs_meet():
    network, data = Net(Normed()), vectors()
    means_KD = means_of(network, data)
    network.features.seen.clear()
    asked = Geometry(mode="train")
    geometry.run_probe(network, data, asked, means_KD.mean(0), means_KD, Draws.seeded(0, torch.device("cpu")))
    pictured = network.features.seen[:4]
    assert sum(map(len, pictured)) == 6 * asked.per_pair
    for x_B in pictured:
        pairs = {tuple(torch.nonzero(row).flatten().tolist()) for row in x_B}
        assert pairs == {(0,), (1,), (2,), (0, 1), (1, 2), (0, 2)}


def test_the_mode_is_that_of_the_picture_and_the_scalars_are_held_against_means_of_their_own_mode():
    network, data = Net(Normed()), vectors(noise=0.2)
    trained, evaluated = (probed(network, data, mode=mode) for mode in ("train", "eval"))
    assert trained[1] == evaluated[1]
    assert not np.array_equal(trained[0].points, evaluated[0].points)


def test_the_same_draws_give_the_same_probe_and_others_another():
    network, data = Net(Normed()), vectors(noise=0.2)
    one, same, other = (probed(network, data, seed=seed, mode="train") for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[0].points, same[0].points)
    assert one[1] == same[1]
    assert not np.array_equal(one[0].points, other[0].points)


def test_same_class_couples_are_two_images_if_there_are_two():
    for per_class, distinct in [(1, False), (2, True)]:
        x = torch.arange(CLASSES * per_class).float()[:, None] * torch.ones(1, CLASSES)
        split = Whole(x, torch.arange(CLASSES * per_class) % CLASSES)
        data = Data(split, split, NAMES, torch.zeros(1), torch.ones(1))
        network = Net(Normed())
        geometry.run_probe(network, data, Geometry(per_pair=50), x[0], x, Draws.seeded(0, torch.device("cpu")))
        picture = torch.cat(network.features.seen)[:50, 0]  # class 0 with itself, λ ~ U(0, 1)
        assert (picture.unique().numel() > 1) is distinct


def test_images_are_normalised_and_mixed_before_the_network_sees_them():
    x = torch.zeros(10, 2, 3, 3, dtype=torch.uint8)
    x[:, 1] = torch.arange(10, dtype=torch.uint8)[:, None, None] * 20
    split = Whole(x, torch.arange(10) % CLASSES)
    data = Data(split, split, NAMES, torch.tensor([0.0, 90.0]), torch.tensor([1.0, 60.0]))
    seen = []

    def features(x_B):
        seen.append(x_B)
        return x_B.mean((2, 3)) @ torch.ones(2, CLASSES)

    network = Net(features)
    network.features = features
    means_KD = torch.randn(CLASSES, CLASSES)
    draws = Draws.seeded(0, torch.device("cpu"))
    asked = Geometry(per_pair=20)
    probe, _ = geometry.run_probe(network, data, asked, means_KD.mean(0), means_KD, draws)
    mixed = torch.cat(seen)[: len(probe.lam), 1, 0, 0].numpy()
    for value, lam, first, second in zip(mixed, probe.lam, probe.first, probe.second, strict=True):
        sources = [((k * 20.0 - 90) / 60, ((k + 5) * 20.0 - 90) / 60) for k in (first, second)]
        options = [lam * a + (1 - lam) * b for a in sources[0] for b in sources[1]]
        assert min(abs(value - o) for o in options) < 1e-5


def test_what_is_not_defined_has_no_value_and_says_why():
    data = vectors()
    for w_KD, features, undefined in [
        (torch.zeros(CLASSES, CLASSES), lambda x: x, set(SCALARS) - {"mix_amplification", "mix_logit_slope"}),
        (simplex(), torch.zeros_like, set(SCALARS) - {"mix_logit_slope"}),
        (simplex(), lambda x: x * torch.nan, set(SCALARS)),
    ]:
        network = Net(features, w_KD)
        means_KD = means_of(network, data)
        draws = Draws.seeded(0, torch.device("cpu"))
        probe, scalars = geometry.run_probe(network, data, Geometry(), means_KD.mean(0), means_KD, draws)
        assert {m.name for m in scalars if m.value is None} == undefined
        assert all(m.note for m in scalars if m.value is None)
        assert len(probe.points) == 1800


def test_classes_that_cannot_be_mixed_are_refused_in_a_sentence():
    data, means = vectors(), torch.randn(CLASSES, CLASSES)
    draws = Draws.seeded(0, torch.device("cpu"))
    with pytest.raises(geometry.GeometryError, match="class 7; the data have 0 to 4"):
        geometry.run_probe(Net(lambda x: x), data, Geometry(classes=(0, 1, 7)), means[0], means, draws)
    keep = data.train.y != 2
    sparse = Data(Whole(data.train.x[keep], data.train.y[keep]), data.test, NAMES, data.mean, data.std)
    with pytest.raises(geometry.GeometryError, match=r"Class 2 \(c\) has no training sample"):
        geometry.run_probe(Net(lambda x: x), sparse, Geometry(), means[0], means, draws)
