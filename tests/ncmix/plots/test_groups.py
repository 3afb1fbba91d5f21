"""Runs in groups by fields of their specs: a mean, a band, and what cannot be averaged."""

from dataclasses import replace

import numpy as np
import pytest

from ncmix import plots
from ncmix.plots import Options, PlotError, PlotOptionError, draw, figure
from ncmix.plots.groups import grouped
from ncmix.results import MetricRow, Run


def run(title: str, values: dict[int, float | None], **spec: object) -> Run:
    rows = [MetricRow(epoch, "train", "nc1", value) for epoch, value in values.items()]
    return Run(title, {"mix": {"kind": "none"}, "seed": 0, **spec}, tuple(rows))


def lines(runs: list[Run], *group_by: str):
    return plots.nc(runs, Options(group_by=group_by)).panels[0].lines


def test_a_group_is_the_mean_of_its_runs_with_their_unbiased_deviation():
    (line,) = lines([run(str(i), {1: 1.0 * i, 2: 4.0 * i}) for i in (1, 2, 3)], "mix.kind")
    assert list(line.y) == [2, 8]
    assert list(line.std) == [1, 4]
    assert line.runs == 3


@pytest.mark.parametrize("other", [{0: 9.0, 1: 3.0, 2: None, 3: 5.0}, {1: 3.0, 2: None}])
def test_the_mean_is_only_where_every_run_has_a_value(other):
    still_running = run("a", {1: 1.0, 2: 2.0})
    (line,) = lines([still_running, run("b", other)], "mix.kind")
    assert list(line.x) == [1]
    assert list(line.y) == [2]


def test_where_there_is_but_one_point_the_band_is_a_bar():
    picture = plots.nc([run("a", {5: 1.0}), run("b", {5: 3.0})], Options(group_by=("mix.kind",)))
    (bar,) = draw(picture).axes[0].collections[-1].get_segments()
    np.testing.assert_allclose(bar, [[5, 2 - 2**0.5], [5, 2 + 2**0.5]])
    (trace,) = figure(picture)["data"]
    assert trace["error_y"]["array"] == pytest.approx([2**0.5])


def test_a_group_of_one_run_is_that_run_without_a_band():
    first, second = lines([run("a", {1: 1.0, 2: None}), run("b", {1: 2.0}, mix={"kind": "mixup"})], "mix.kind")
    assert (first.std, second.std) == (None, None)
    assert np.isnan(first.y[1])


def test_groups_are_named_by_their_values_in_order_of_appearance():
    runs = [
        run("a", {1: 1.0}, mix={"kind": "mixup", "alpha": 0.5}),
        run("b", {1: 1.0}),
        run("c", {1: 1.0}, mix={"kind": "mixup", "alpha": 0.5}, seed=1),
    ]
    assert [g.label for g in grouped(runs, ("mix.kind",))] == ["mixup (2 runs)", "none (1 run)"]
    assert [g.label for g in grouped(runs, ("mix",))] == ["mixup (2 runs)", "none (1 run)"]
    assert [g.label for g in grouped(runs, ("mix.alpha", "seed"))] == [
        "0.5, 0 (1 run)",
        "none, 0 (1 run)",
        "0.5, 1 (1 run)",
    ]
    assert [g.label for g in grouped(runs, ())] == ["a", "b", "c"]


def test_a_field_that_no_spec_has_is_refused_with_those_there_are():
    with pytest.raises(
        PlotOptionError, match=r"No spec of these has the field 'mix\.kin'; there are mix\.kind, seed\."
    ):
        grouped([run("a", {1: 1.0})], ("mix.kin",))


def test_a_band_is_drawn_around_the_mean_and_ends_at_a_logarithmic_axis():
    runs = [run("a", {1: 100.0, 2: 1.0}), run("b", {1: 100.0, 2: 0.001})]
    (axes,) = draw(plots.nc(runs, Options(group_by=("mix.kind",)))).axes
    assert axes.get_yscale() == "log"
    (band,) = axes.collections
    low, high = band.get_paths()[0].vertices[:, 1].min(), band.get_paths()[0].vertices[:, 1].max()
    assert 0 < low < 0.5
    assert high == pytest.approx(100)


def test_planes_of_several_runs_have_no_mean():
    with pytest.raises(PlotOptionError, match="have no mean"):
        plots.last_layer([run("a", {})], Options(group_by=("mix.kind",)))


def test_metrics_that_a_run_of_the_group_never_had_have_no_line():
    with pytest.raises(PlotError, match="no neural-collapse metric"):
        lines([run("a", {1: 1.0}), run("b", {})], "mix.kind")


def test_thinned_curves_say_so():
    assert plots.nc(replace(run("a", {1: 1.0}), every=4)).note == "every 4th measured epoch"
    assert plots.nc(run("a", {1: 1.0})).note == ""
