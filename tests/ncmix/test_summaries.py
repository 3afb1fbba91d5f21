"""What metrics sum up, piece by piece: checked against the metrics, against formulas, and against plain NumPy."""

import numpy as np
import pytest
import torch

from ncmix import metrics, rundir, stats, summaries
from ncmix.results import Snapshot, Spectra, Summary
from tests.ncmix.metrics.clouds import REGIMES, cloud, simplex, table

NAMES = tuple("abcdef")


def summarised(h, y, w, b=None, *, softmax=True, last=True, classes=NAMES):
    statistics = {"train": stats.statistics([(h, y)], w, b)}
    classifier = summaries.Classifier(w, b, classes, softmax)
    sets = summaries.summarise({"train": (h, y)}, statistics, classifier, last=last)
    return {s.name: s for s in sets}


def both(*features, **how) -> tuple[Summary, Spectra]:
    sets = summarised(*features, **how)
    return tuple(kind.from_set(sets[name].arrays, sets[name].facts)  # type: ignore[return-value]
                 for name, kind in (("summary", Summary), ("spectrum", Spectra)))  # fmt: skip


def test_metrics_follow_from_the_summary_and_the_spectra():
    h, y, w, b = cloud(dtype=torch.float64)
    summary, spectra = both(h, y, w.double(), b.double())
    known = table(h, y, w.double(), b.double())
    off = ~np.eye(6, dtype=bool)
    norms = summary.mean_norms[:, 0]
    assert norms.std(ddof=1) / norms.mean() == pytest.approx(known["nc2_norm_means"], rel=1e-5)
    assert summary.weight_norms.std(ddof=1) / summary.weight_norms.mean() == pytest.approx(
        known["nc2_norm_weights"], rel=1e-5
    )
    assert np.abs(summary.mean_cosines[:, 0][off] + 1 / 5).mean() == pytest.approx(known["nc2_angle_means"], rel=1e-5)
    assert np.abs(summary.weight_cosines[off] + 1 / 5).mean() == pytest.approx(known["nc2_angle_weights"], rel=1e-5)
    assert np.trace(summary.confusion[:, 0]) / len(y) == pytest.approx(known["accuracy"])
    assert summary.bins[0, :, 2].sum() == np.trace(summary.confusion[:, 0])
    quotient = (spectra.within[:, 0] ** 2).sum() / np.nansum(spectra.between[:, 0] ** 2)
    assert quotient == pytest.approx(known["nc1_quotient"], rel=1e-5)
    assert np.isfinite(spectra.between[:, 0]).sum() == 5


def test_spectra_are_the_roots_of_the_eigenvalues_of_both_covariances():
    h, y, w, _ = cloud(samples=90, dimension=8, noise=1.0)
    _, spectra = both(h, y, w)
    x, means = h.double().numpy(), np.stack([h[y == k].double().numpy().mean(0) for k in range(6)])
    within = np.linalg.eigvalsh((x - means[y]).T @ (x - means[y]) / len(x))[::-1]
    between = np.linalg.svd(means - means.mean(0), compute_uv=False)[:5] / 6**0.5
    np.testing.assert_allclose(spectra.within[:, 0], np.sqrt(within), rtol=1e-5)
    np.testing.assert_allclose(spectra.between[:5, 0], between, rtol=1e-5)


@pytest.mark.parametrize("features", REGIMES.values(), ids=REGIMES)
def test_one_matrix_gives_the_spread_within_classes_and_over_all_samples(features):
    h, y, w, b = features
    spread = stats.statistics([(h, y)], w, b).spread
    x = h.double().numpy()
    within = x - np.stack([x[y == k].mean(0) for k in range(len(w))])[y]
    for found, rows in ((spread.within, within), (spread.total, x - x.mean(0))):
        expected = np.linalg.svd(rows, compute_uv=False)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7 * expected[0])


def test_an_exact_simplex_has_one_cosine_one_norm_and_nothing_within():
    means = simplex(6, 9, norm=3.0, dtype=torch.float32)
    y = torch.arange(60) % 6
    summary, spectra = both(means[y], y, means)
    np.testing.assert_allclose(summary.mean_norms, 3, rtol=1e-6)
    np.testing.assert_allclose(summary.mean_cosines[:, 0], np.where(np.eye(6) > 0, 1, -1 / 5), atol=1e-6)
    np.testing.assert_array_equal(summary.confusion[:, 0], 10 * np.eye(6))
    np.testing.assert_allclose(spectra.within, 0, atol=1e-6)


def test_bins_are_those_of_the_expected_calibration_error():
    h, y, w, b = cloud()
    bins = both(h, y, w, b)[0].bins[0]
    p = torch.softmax(h @ w.T + b, 1).double()
    confidence, guess = p.max(1)
    place = np.ceil(confidence.numpy() * 15).astype(int) - 1
    np.testing.assert_array_equal(bins[:, 0], np.bincount(place, minlength=15))
    np.testing.assert_allclose(bins[:, 1], np.bincount(place, confidence.numpy(), 15), rtol=1e-6)
    np.testing.assert_array_equal(bins[:, 2], np.bincount(place, (guess == y).numpy(), 15))


def test_certainty_is_in_the_last_bin():
    means = 1000 * torch.eye(6)
    y = torch.arange(12) % 6
    bins = both(means[y], y, means)[0].bins[0]
    assert bins[14].tolist() == [12, 12, 12]
    assert not bins[:14].any()


def test_softmax_that_is_no_probability_has_no_bins():
    assert both(*cloud(), softmax=False)[0].bins is None


def test_an_absent_class_has_no_mean_and_features_that_are_not_finite_no_summary():
    h, y, w, b = cloud()
    summary, spectra = both(h, torch.where(y == 5, 0, y), w, b)
    assert np.isnan(summary.mean_norms).all()
    assert np.isnan(spectra.between).all()
    assert np.isfinite(spectra.within).all()
    assert summary.confusion[5].sum() == 0
    broken = h.clone()
    broken[7, 3] = torch.nan
    assert summarised(broken, y, w, b) == {}
    assert summarised(h, y, w, torch.full_like(b, torch.inf)) == {}


def test_large_ones_are_kept_of_the_last_epoch_alone():
    classes = summaries.MOST_CLASSES + 1
    h, y, w, b = cloud(classes=classes, dimension=summaries.MOST_DIRECTIONS + 1, samples=2 * classes)
    names = tuple(map(str, range(classes)))
    early = summarised(h, y, w, b, last=False, classes=names)
    assert set(early) == {"summary"}
    assert set(early["summary"].arrays) == {"mean_norms", "weight_norms"}
    small = summarised(*cloud(), last=False)
    assert set(small) == {"summary", "spectrum"}
    assert "confusion" in small["summary"].arrays


def test_they_travel_in_a_run_folder_and_splits_keep_their_order(tmp_path):
    h, y, w, b = cloud()
    features = {"train": (h, y), "test": (2 * h, y)}
    statistics = {name: stats.statistics([pair], w, b) for name, pair in features.items()}
    sets = summaries.summarise(features, statistics, summaries.Classifier(w, b, NAMES), last=True)
    writer = rundir.RunWriter.create(tmp_path / "run", {"title": "a", "spec": {}})
    writer.add(Snapshot(4, metrics.tabulate("train", statistics["train"]), sets))
    writer.finish()
    run = rundir.read(tmp_path / "run")
    assert run.summaries[4].splits == run.spectra[4].splits == ("train", "test")
    np.testing.assert_allclose(run.summaries[4].mean_norms[:, 1], 2 * run.summaries[4].mean_norms[:, 0], rtol=1e-6)
    np.testing.assert_allclose(run.spectra[4].within[:, 1], 2 * run.spectra[4].within[:, 0], rtol=1e-4)
    assert run.summaries[4].bins.shape == (2, 15, 3)
