"""The plots of a run's state at an epoch: class by class, direction by direction, bin by bin, λ by λ."""

import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.text import Text

from ncmix import plots
from ncmix.plots import Options, PlotError, PlotOptionError, draw
from ncmix.plots.picture import Cloud, HeatMap
from ncmix.results import Run
from tests.ncmix.plots import synthetic


@pytest.fixture(scope="module")
def run() -> Run:
    return synthetic.run("mixup", epochs=40, mixup=True)


def seeds(*scales: float) -> list[Run]:
    """Runs whose class means have norms of 5 times each of these scales, at their only epoch."""
    made = []
    for seed, scale in enumerate(scales):
        summary = synthetic.summary(1.0)
        spec = {"mix": {"kind": "none"}, "seed": seed}
        made.append(
            Run(f"seed {seed}", spec, (), summaries={3: replace(summary, mean_norms=scale * summary.mean_norms)})
        )
    return made


def names(axes: Axes, rotation: float | None = None) -> list[str]:
    """The names of classes at the ticks of axes, below them and then beside them."""
    found = [text for text in axes.findobj(Text) if text.get_text().startswith("class ")]
    return [text.get_text() for text in found if rotation in (None, text.get_rotation())]


def test_gram_shows_the_cosines_of_both_and_names_the_classes(run):
    picture = plots.gram(run)
    means, weights = (panel.marks[0] for panel in picture.panels)
    assert isinstance(means, HeatMap)
    assert (means.low, means.high, means.diverging) == (-1, 1, True)
    assert means.rows == tuple(f"class {k}" for k in range(10))
    np.testing.assert_allclose(means.values, run.summaries[40].mean_cosines[:, 0])
    np.testing.assert_allclose(weights.values, run.summaries[40].weight_cosines)
    axes = draw(picture).axes[0]
    assert names(axes) == [*means.columns, *means.rows]
    assert sum(text.get_text() == "1.00" for text in axes.texts) == 10
    assert sum(text.get_text() == "−.11" for text in axes.texts) == 90
    test = plots.gram(run, Options(split="test")).panels[0].marks[0]
    np.testing.assert_allclose(test.values, run.summaries[40].mean_cosines[:, 1])


def test_many_classes_have_neither_names_nor_numbers_in_the_picture():
    large = Run("large", {}, (), summaries={1: synthetic.summary(1.0, classes=150)})
    axes = draw(plots.gram(large)).axes[0]
    assert not axes.texts[2:]  # the head alone
    assert axes.images[0].get_array().shape == (150, 150)


def test_matrices_that_were_kept_of_the_last_epoch_alone_say_so():
    early = synthetic.summary(0.1, classes=150, square=False)
    run = Run("large", {}, (), summaries={1: early, 9: synthetic.summary(1.0, classes=150)})
    assert plots.confusion(run).panels[0].meaning.endswith("epoch 9")
    assert len(plots.norms(run, Options(epoch=1)).panels) == 2
    with pytest.raises(PlotError, match="Of 150 classes the matrices are kept of the last measured epoch alone"):
        plots.gram(run, Options(epoch=1))
    with pytest.raises(PlotError, match="Of 150 classes the matrices are kept of the last measured epoch alone"):
        plots.gram(replace(run, summaries={1: early}))


def test_confusion_shows_shares_of_each_true_class(run):
    (panel,) = plots.confusion(run).panels
    (heat,) = panel.marks
    np.testing.assert_allclose(heat.values.sum(1), 1)
    assert panel.name == "Test"
    assert heat.values[0, :2] == pytest.approx([0.9, 0.1])
    assert heat.values[9, 0] == pytest.approx(0.1)
    assert (panel.x.label, panel.y.label) == ("taken for", "true class")
    axes = draw(plots.confusion(run)).axes[0]
    assert axes.get_ylim() == (9.5, -0.5)


def test_a_class_without_samples_has_no_shares():
    summary = synthetic.summary(1.0)
    empty = summary.confusion.copy()
    empty[4] = 0
    (panel,) = plots.confusion(Run("a", {}, (), summaries={1: replace(summary, confusion=empty)})).panels
    assert np.isnan(panel.marks[0].values[4]).all()
    draw(plots.confusion(Run("a", {}, (), summaries={1: replace(summary, confusion=empty)})))


def test_norms_draw_each_class_from_zero(run):
    means, weights = plots.norms(run, Options(epoch=1)).panels
    np.testing.assert_allclose(means.lines[0].y, run.summaries[1].mean_norms[:, 0])
    np.testing.assert_allclose(weights.lines[0].y, run.summaries[1].weight_norms)
    assert list(means.lines[0].x) == list(range(10))
    assert means.y.low <= 0


def test_norms_of_several_seeds_are_their_mean_and_deviation():
    picture = plots.norms(seeds(1.0, 2.0, 3.0), Options(group_by=("mix.kind",)))
    (line,) = picture.panels[0].lines
    np.testing.assert_allclose(line.y, 10)
    np.testing.assert_allclose(line.std, 5)
    assert (picture.groups, picture.note) == (("none (3 runs)",), "mean ± std over runs")


def test_heat_maps_of_a_group_are_means_and_different_classes_have_none():
    (one, other) = seeds(1.0, 1.0)
    half = synthetic.summary(0.0)
    mixed = plots.gram([one, replace(other, summaries={3: half})], Options(group_by=("mix.kind",)))
    heat = mixed.panels[0].marks[0]
    assert heat.runs == 2
    assert heat.values[0, 1] == pytest.approx((0.6 - 1 / 9) / 2)
    fewer = replace(other, summaries={3: synthetic.summary(1.0, classes=7)})
    with pytest.raises(PlotError, match="have different classes"):
        plots.gram([one, fewer], Options(group_by=("mix.kind",)))


def test_spectrum_draws_what_is_between_and_within_classes_over_decades(run):
    train, _, test, _ = plots.spectrum(run).panels
    within, between = train.lines
    assert (within.style, between.style) == ("within", "between")
    assert (len(within.x), len(between.x)) == (40, 9)
    assert (np.diff(within.y) < 0).all()
    assert train.x.log
    assert train.y.log
    np.testing.assert_allclose(test.lines[0].y, 1.5 * within.y)


def test_spectrum_follows_the_largest_and_smallest_between_classes_and_the_largest_within_over_the_epochs(run):
    _, panel, *_ = plots.spectrum(run).panels
    assert (panel.name, panel.x.label) == ("Train over the epochs", "epoch")
    within, least, between = panel.lines
    assert [line.style for line in panel.lines] == ["within", "least", "between"]
    assert all(list(line.x) == [1, 20, 40] for line in panel.lines)
    np.testing.assert_allclose(within.y, [run.spectra[epoch].within[0, 0] for epoch in (1, 20, 40)])
    np.testing.assert_allclose(between.y, 3)
    np.testing.assert_allclose(least.y, 3 - 0.1 * 8)
    assert list(plots.spectrum(run, Options(epoch=20)).panels[1].lines[0].x) == [1, 20]
    assert [p.name for p in plots.spectrum(run, Options(epoch=1, split="test")).panels] == ["Test"], "of one epoch"


def test_spectrum_of_a_group_is_followed_at_the_epochs_that_all_have_and_at_a_few_of_many(run):
    other = replace(run, spectra={**run.spectra, 7: run.spectra[1]})
    _, panel, *_ = plots.spectrum([run, other], Options(group_by=("mix.kind",))).panels
    assert all(list(line.x) == [1, 20, 40] for line in panel.lines)
    np.testing.assert_allclose(panel.lines[0].std, 0, atol=1e-9)
    often = replace(run, spectra=dict.fromkeys(range(501), run.spectra[40]))
    followed = plots.spectrum(often).panels[1].lines[0].x
    assert 12 <= len(followed) <= 16
    assert (followed[0], followed[-1]) == (0, 500)


def test_many_maps_are_small_and_name_their_classes_once(run):
    many = [replace(run, title=f"digits mlp seed {seed}") for seed in range(7)]
    picture = plots.gram(many)
    assert (picture.layout, picture.columns, len(picture.panels)) == ("maps", 6, 14)
    sheet, *ticked, _ = draw(picture).axes
    places = [0, 6, *range(8, 14)]  # those at the left, and the lowest of each column; the others lie on the sheet
    assert (len(sheet.images), len(ticked)) == (14 - len(places), len(places))
    assert [len(names(axes, rotation=0)) for axes in ticked] == [10 * (place % 6 == 0) for place in places]
    assert [len(names(axes, rotation=90)) for axes in ticked] == [10 * (place >= 8) for place in places]
    said = [text.get_text() for axes in (sheet, *ticked) for text in axes.texts]
    assert sum("seed" in text for text in said) == 14
    assert not any("−.11" in text for text in said)
    others = replace(run, title="others", summaries={40: synthetic.summary(1.0, classes=7)})
    assert plots.gram([*many, others]).layout == "map", "classes that differ are named at every map"


def test_reliability_draws_accuracy_over_confidence_and_leaves_empty_bins_out(run):
    accuracy, samples = plots.reliability(run).panels
    ideal, line = accuracy.lines
    assert list(ideal.y) == [0, 1]
    assert len(line.x) == 14
    np.testing.assert_allclose(line.y, np.maximum(line.x - 0.1, 0))
    assert np.isnan(samples.lines[0].y[0])
    assert np.nansum(samples.lines[0].y) == pytest.approx(1)
    train = plots.reliability(run, Options(split="train")).panels[0].lines[1]
    np.testing.assert_allclose(train.y, train.x)


def test_reliability_of_logits_that_are_no_probabilities_is_refused_with_the_loss():
    bare = replace(synthetic.summary(1.0), bins=None)
    with pytest.raises(PlotError, match="'a' is trained with mse, which does not fit softmax"):
        plots.reliability(Run("a", {"loss": {"kind": "mse"}}, (), summaries={1: bare}))


def test_reliability_leaves_out_who_has_no_probabilities_and_says_so(run):
    bare = Run("a", {"loss": {"kind": "mse"}}, (), summaries={40: replace(synthetic.summary(1.0), bins=None)})
    picture = plots.reliability([bare, run])
    assert picture.groups == ("a", "mixup")
    assert [line.group for line in picture.panels[0].lines] == [None, 1]
    assert picture.note == "1 of 2 left out, whose logits give no probability"


def test_channel_draws_logits_and_amplification_with_theory_and_what_to_compare(run):
    logits, ahead = plots.channel(run).panels
    guide, measured, theory = logits.lines
    assert [line.style for line in logits.lines] == ["identity", "measured", "theory"]
    np.testing.assert_allclose(guide.x, guide.y)
    assert len(measured.x) == 19  # the grid without its ends, where logit λ is infinite
    np.testing.assert_allclose(measured.y, 1.5 * measured.x, atol=1e-12)
    np.testing.assert_allclose(theory.y, theory.x, atol=1e-12)
    convex, amplification, expected = ahead.lines
    assert list(convex.y) == [1, 1]
    assert amplification.y.max() == pytest.approx(1.5)
    assert expected.y.max() == pytest.approx(1.45)
    assert plots.channel(run).key == ("measured", "theory", "identity", "convex")


def test_channel_without_theory_or_without_an_answer(run):
    probe = run.probes[40]
    alone = replace(probe, response=replace(probe.response, theory_gap=None, theory_ahead=None))
    assert plots.channel(replace(run, probes={40: alone})).key == ("measured", "identity", "convex")
    with pytest.raises(PlotError, match="made before its answer to λ was kept"):
        plots.channel(replace(run, probes={40: replace(probe, response=None)}))
    lost = replace(probe.response, gap=np.full((21, 3), np.nan), theory_gap=None)
    with pytest.raises(PlotError, match="hold no finite numbers"):
        plots.channel(replace(run, probes={40: replace(probe, response=lost)}))


def test_the_grid_has_runs_below_each_other_and_epochs_side_by_side(run):
    other = replace(run, title="ERM")
    picture = plots.last_layer_grid([run, other])
    assert [panel.meaning.partition(" ·")[0] for panel in picture.panels] == ["epoch 1", "epoch 20", "epoch 40"] * 2
    assert [panel.name for panel in picture.panels] == ["mixup", "", "", "ERM", "", ""]
    assert picture.columns == 3
    heads = [text for text in draw(picture).axes[0].texts if "width" in text.get_text()]
    # The epoch of a column is said once.
    assert [head.get_text().partition(" · ")[0] for head in heads[:3]] == ["epoch 1", "epoch 20", "epoch 40"]
    assert all(head.get_text().startswith("width") for head in heads[3:])
    assert len({text.get_position()[0] for text in heads}) == 3
    assert len({text.get_position()[1] for text in heads}) == 2
    chosen = plots.last_layer_grid(run, Options(epochs=(40, 1)))
    assert [panel.marks[0].epoch for panel in chosen.panels] == [40, 1]
    with pytest.raises(PlotError, match="no probe at epoch 2 of 'mixup'; there are probes at 1, 20, 40"):
        plots.last_layer_grid(run, Options(epochs=(1, 2)))
    with pytest.raises(PlotOptionError, match="7 epochs are named; allowed are 1 to 6"):
        plots.last_layer_grid(run, Options(epochs=tuple(range(7))))


def test_of_many_probes_the_grid_shows_six_from_the_first_to_the_last(run):
    probes = dict.fromkeys([1, 2, 3, 5, 9, 17, 33, 65, 129, 257, 500], run.probes[40])
    epochs = [panel.marks[0].epoch for panel in plots.last_layer_grid(replace(run, probes=probes)).panels]
    assert epochs == sorted(epochs)
    assert (len(epochs), epochs[0], epochs[-1]) == (6, 1, 500)


def test_of_the_probed_classes_some_can_be_drawn_and_no_other(run):
    (panel,) = plots.last_layer(run, Options(classes=(0, 1))).panels
    (cloud,) = panel.marks
    assert isinstance(cloud, Cloud)
    assert set(cloud.probe.first.tolist()) | set(cloud.probe.second.tolist()) == {0, 1}
    assert len(cloud.probe.points) == 3 * 300
    everything = plots.last_layer(run, Options(classes=(2, 1, 0))).panels[0].marks[0]
    assert len(everything.probe.points) == 6 * 300
    with pytest.raises(
        PlotOptionError, match=re.escape("Class 7 was not mixed by the probe, whose three classes are 0, 1, 2.")
    ):
        plots.last_layer(run, Options(classes=(0, 7)))


@pytest.mark.parametrize("plot", ["gram", "norms", "confusion", "spectrum", "reliability"])
def test_runs_from_before_these_were_kept_and_epochs_not_measured_are_sentences(run, plot):
    with pytest.raises(PlotError, match="of 'old': none is recorded yet, or it ran before these were kept"):
        plots.PLOTS[plot].describe(Run("old", {}, ()), Options())
    with pytest.raises(PlotError, match="at epoch 7 of 'mixup'; there are some at 1, 20, 40"):
        plots.PLOTS[plot].describe(run, Options(epoch=7))


@pytest.mark.parametrize("plot", ["gram", "norms", "confusion", "reliability", "spectrum"])
def test_a_split_that_was_not_measured_is_a_sentence(run, plot):
    summary, spectra = synthetic.summary(1.0), synthetic.spread(1.0)
    train = replace(
        summary,
        splits=("train",),
        mean_norms=summary.mean_norms[:, :1],
        mean_cosines=summary.mean_cosines[:, :1],
        confusion=summary.confusion[:, :1],
        bins=summary.bins[:1],
    )
    alone = replace(spectra, splits=("train",), between=spectra.between[:, :1], within=spectra.within[:, :1])
    only_train = replace(run, summaries={1: train}, spectra={1: alone})
    plots.PLOTS[plot].describe(only_train, Options())
    with pytest.raises(PlotError, match="split 'test'"):
        plots.PLOTS[plot].describe(only_train, Options(split="test"))
