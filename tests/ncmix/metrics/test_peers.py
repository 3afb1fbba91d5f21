"""Where a public implementation means the same as we do it finds the same; its numbers were made by golden/peers.py."""

import json
import math
from pathlib import Path

import pytest

from ncmix import metrics
from ncmix.glossary import METRICS
from tests.ncmix.metrics.clouds import REGIMES, table
from tests.ncmix.metrics.golden import peers

PAGE = (Path(__file__).parents[3] / "docs" / "metrics.md").read_text()
GOLDEN = json.loads(peers.FILE.read_text())

# What is defined otherwise there.
OTHERWISE = {
    "rhubarbwu/neural-collapse": {"log distances, variance"},
    "kowalski 0.0.2": {"nc1", "nc2_etf_weights"},
    "the notebook": set(),
}
# Where float32 is not enough for them, or the mean is weighted by class sizes: docs/metrics.md says by how much.
BEYOND = {
    "rhubarbwu/neural-collapse": {
        "to the last digits": {"nc1", "nc1_quotient", "nc1_cdnv"},
        "means over 2 decades": {"nc1"},
        "means over 3.5 decades": {"nc1"},
    },
    "kowalski 0.0.2": {"to the last digits": {"nc1_cdnv"}, "imbalanced 30:1": {"nc3_wh", "nc4_bias"}},
    "the notebook": {
        name: {"nc1"} for name in ("to the last digits", "means over 2 decades", "means over 3.5 decades")
    },
}


@pytest.mark.parametrize("name", OTHERWISE)
@pytest.mark.parametrize("regime", peers.NAMES)
def test_the_same_definition_gives_the_same_number(name, regime):
    h, y, w, b = REGIMES[regime]
    assert GOLDEN[regime]["sum of features"] == pytest.approx(float(h.double().sum()), rel=1e-9), "other features"
    # rhubarbwu's agreement leaves the bias out.
    ours = table(h, y, w, None if name.startswith("rhubarbwu") else b)
    beyond = BEYOND[name].get(regime, set())
    compared = GOLDEN[regime][name].keys() - OTHERWISE[name]
    assert len(compared) >= 3
    for metric in compared - beyond:
        assert ours[metric] == pytest.approx(GOLDEN[regime][name][metric], rel=1e-5, abs=1e-8), metric
    for metric in beyond:
        assert not math.isclose(ours[metric], GOLDEN[regime][name][metric], rel_tol=1e-5), metric


def test_the_page_about_the_metrics_says_how_far_the_others_are_off():
    assert peers.tables(GOLDEN).strip() in PAGE


def test_the_page_about_the_metrics_has_every_definition():
    for name in metrics.METRICS:
        entry = METRICS[name]
        cells = (f"`{name}`", entry.definition.replace("|", r"\|"), entry.source or "—")
        assert f"| {' | '.join(cells)} |" in PAGE
