"""Calibration: golden values of another library, and cases that can be worked out by hand."""

import json
import math

import pytest
import torch

from ncmix import losses, metrics, stats
from ncmix.results import Snapshot
from ncmix.spec import VOCABULARY, parse
from ncmix.stats import temperature
from ncmix.train import run
from tests.ncmix.metrics.clouds import BALANCED, notes, table
from tests.ncmix.metrics.golden import netcal


def of_logits(z, y, **named):
    """The test split's table of logits (N, K): features that are the logits, and a classifier that leaves them."""
    z = torch.as_tensor(z, dtype=torch.float64)
    return table(z, torch.as_tensor(y), torch.eye(z.shape[1]).double(), split="test", **named)


def of_confidences(confidence, right):
    """Two classes: this sure of class 0, and right or not."""
    z = torch.tensor(confidence, dtype=torch.float64).logit()
    return of_logits(torch.stack([z, torch.zeros_like(z)], 1), [0 if r else 1 for r in right])


@pytest.mark.parametrize("name", netcal.CASES)
def test_netcal_finds_the_same(name):
    """Made as golden/netcal.py says."""
    found, golden = of_logits(*netcal.logits(*netcal.CASES[name])), json.loads(netcal.FILE.read_text())[name]
    assert found["ece"] == pytest.approx(golden["ece"], rel=1e-9)
    assert found["ece_adaptive"] == pytest.approx(golden["ece_adaptive"], rel=1e-9)
    # Its optimiser stops when it is near.
    assert found["temperature"] == pytest.approx(golden["temperature"], rel=1e-4)
    assert found["ece_scaled"] == pytest.approx(golden["ece_scaled"], rel=1e-3)


def test_the_temperature_undoes_the_scale_that_labels_were_not_drawn_with():
    z, y = netcal.logits(20_000, 5, 4.0, 7)
    found = of_logits(z, y)
    assert found["temperature"] == pytest.approx(4, rel=0.03)
    assert found["ece_scaled"] < 0.02 < found["ece"]
    assert of_logits(10 * z, y)["temperature"] == pytest.approx(10 * found["temperature"], rel=1e-6)
    assert of_logits(10 * z, y)["ece_scaled"] == pytest.approx(found["ece_scaled"], rel=1e-5)


def test_by_hand():
    """Bins (0.5333, 0.6], (0.6, 0.6667], (0.8667, 0.9333]: gaps 0.55−1 and 0.65−½ of two, 0.9 of one wrong."""
    found = of_confidences([0.55, 0.62, 0.64, 0.9], [True, True, False, False])
    assert found["ece"] == pytest.approx((0.45 + abs(1.26 - 1) + 0.9) / 4)
    assert found["brier"] == pytest.approx(2 * (0.45**2 + 0.38**2 + 0.64**2 + 0.9**2) / 4)
    # Four samples, fifteen bins: each has its own.
    assert found["ece_adaptive"] == pytest.approx((0.45 + 0.38 + 0.64 + 0.9) / 4)


def test_a_confidence_on_the_border_of_two_bins_belongs_to_the_lower():
    """0.6 = 9/15 with 0.55 makes one bin, in which an error and a hit nearly balance; apart they would not."""
    assert of_confidences([0.55, 0.6], [True, False])["ece"] == pytest.approx(abs(1.15 - 1) / 2)
    assert of_confidences([0.62, 0.6], [True, False])["ece"] == pytest.approx((0.38 + 0.6) / 2)


def test_certainty_is_in_the_last_bin_and_its_doubts_are_not_rounded_away():
    found = of_logits([[800.0, 0.0], [0.0, 3.0]], [0, 0])  # e^-80 is where doubts end
    assert found["ece"] == pytest.approx((1 / (1 + math.exp(-3))) / 2)
    z = torch.zeros(40, 4, dtype=torch.float64)
    z[:, 0] = 30
    doubt = 3 * math.exp(-30) / (1 + 3 * math.exp(-30))
    found = of_logits(z, torch.zeros(40).long())
    assert found["ece"] == pytest.approx(doubt, rel=1e-12, abs=0)
    assert found["ece_adaptive"] == pytest.approx(doubt, rel=1e-12, abs=0)
    assert found["brier"] == pytest.approx((9 + 3) * math.exp(-60), rel=1e-12, abs=0)


def test_the_brier_score_of_the_surest_is_not_lost_in_float32():
    z = torch.zeros(40, 4)
    z[:, 0] = 60  # the square of e^-60 is no float32
    found = table(z, torch.zeros(40).long(), torch.eye(4), split="test")
    assert found["brier"] == pytest.approx((9 + 3) * math.exp(-120), rel=1e-5, abs=0)


def test_equal_confidences_share_a_bin_whatever_the_order():
    confidence, right = [0.7] * 50 + [0.9] * 50, [True] * 40 + [False] * 10 + [True] * 30 + [False] * 20
    for order in (1, -1):
        found = of_confidences(confidence[::order], right[::order])
        assert found["ece_adaptive"] == pytest.approx((0.1 + 0.3) / 2)


def test_the_half_held_back_is_every_other_sample_of_each_class():
    for y in ([0, 0, 0, 1, 1, 1, 1, 2], [0, 1] * 6):
        leads = temperature.Leads(len(y), 3)
        z = torch.arange(len(y))[:, None] * torch.tensor([[1.0, 2, 4]])
        for start in range(0, len(y), 3):
            leads.add(z[start : start + 3], torch.tensor(y[start : start + 3]))
        held, scored = leads.halves
        rows = [i for i in range(len(y)) if y[:i].count(y[i]) % 2 == 0]
        own = z - z.gather(1, torch.tensor(y)[:, None])
        assert held.equal(own[rows])
        assert scored.equal(own[[i for i in range(len(y)) if i not in rows]])


def test_of_more_logits_than_are_kept_an_even_share_is(monkeypatch):
    """Labels that go through the classes in turn, and sorted ones: every class keeps its share."""
    monkeypatch.setattr(temperature, "MOST_LOGITS", 12_000)
    for y in (torch.arange(10_000) % 6, (torch.arange(10_000) // 1667)):
        leads = temperature.Leads(len(y), 6)
        for labels in y.split(700):
            leads.add(torch.zeros(len(labels), 6), labels)
        kept = torch.cat([labels for _, labels in leads.blocks])
        assert len(kept) == pytest.approx(2000, abs=10)
        assert kept.bincount().tolist() == pytest.approx([333] * 6, abs=10)
    z, y = netcal.logits(20_000, 5, 4.0, 7)
    assert of_logits(z, y)["temperature"] == pytest.approx(4, rel=0.05)


@pytest.mark.parametrize(
    ("z", "y", "why"),
    [
        ([[2.0, 0], [1, 0], [0, 2], [0, 1]], [0, 0, 1, 1], "all classified right"),
        ([[0.0, 2], [0, 1], [2, 0], [1, 0]], [0, 0, 1, 1], "no better than by chance"),
        ([[3.0, 3], [0, 0], [5, 5], [0, 0]], [0, 0, 1, 1], "no better than by chance"),
    ],
)
def test_where_no_temperature_is_best_there_is_none(z, y, why):
    missing = notes(torch.tensor(z), torch.tensor(y), torch.eye(2), split="test")
    assert why in missing["temperature"] == missing["ece_scaled"]


def test_a_class_with_one_sample_fits_and_does_not_score():
    z, y = torch.tensor([[2.0, 0, 0], [2, 1, 0], [2, 0, 1]]), torch.tensor([0, 1, 2])
    missing = notes(z, y, torch.eye(3), split="test")
    assert "temperature" not in missing
    assert "none is left to score" in missing["ece_scaled"]


def test_only_the_test_split_has_a_temperature():
    z, y = netcal.logits(200, 4, 1.0, 0)
    features = torch.tensor(z), torch.tensor(y), torch.eye(4).double()
    assert set(table(*features, split="test")) - set(table(*features, split="train")) == {"temperature", "ece_scaled"}


def test_where_softmax_is_no_probability_only_the_scaled_error_is_given():
    z, y = netcal.logits(200, 4, 1.0, 0)
    given, without = of_logits(z, y), of_logits(z, y, softmax=False)
    assert {n for n in given if without[n] is None and given[n] is not None} == {"ece", "ece_adaptive"}
    missing = notes(torch.tensor(z), torch.tensor(y), torch.eye(4).double(), softmax=False)
    assert "ece_scaled" in missing["ece"]


@pytest.mark.parametrize("loss", VOCABULARY["loss"])
def test_a_run_has_an_ece_where_its_loss_fits_softmax(loss):
    spec = {"dataset": "gaussian", "model": "mlp", "loss": loss, "epochs": 1, "measure": {"epochs": [0]}}
    if loss == "dot_regression":
        spec["head"] = "etf"
    snapshot = next(event for event in run(parse(spec), device="cpu") if isinstance(event, Snapshot))
    found = {(m.split, m.name): m for m in snapshot.metrics}
    for split in ("train", "test"):
        for name in ("ece", "ece_adaptive"):
            assert (found[split, name].value is not None) == (loss in losses.SOFTMAX)
        assert 0 <= found[split, "brier"].value <= 2
    assert ("test", "ece_scaled") in found
    assert ("train", "ece_scaled") not in found


def test_what_was_not_asked_for_has_no_value_and_costs_nothing():
    z, y = netcal.logits(200, 4, 1.0, 0)
    features = [(torch.tensor(z), torch.tensor(y))]
    s = stats.statistics(
        features, torch.eye(4), extras=stats.Extras(calibration=False, temperature=False, spectrum=False)
    )
    missing = {m.name for m in metrics.tabulate("test", s) if m.value is None}
    assert missing == {"brier", "ece", "ece_adaptive", "ece_scaled", "temperature", "effective_rank"} | BALANCED
    assert (s.decisions.doubt_N, s.decisions.leads, s.spread) == (None, None, None)
