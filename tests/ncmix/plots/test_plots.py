"""A plot takes runs and returns a Figure; these tests read off the figure what a reader would see."""

import base64
import gc
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.text import Annotation, Text
from PIL import Image

from ncmix import plots
from ncmix.plots import IMAGES, PLOTS, THEMES, Options, PlotError, Size, dots, draw, naming, render
from ncmix.plots.fonts import families
from ncmix.plots.letters import Canvas
from ncmix.results import MetricRow, Run
from tests.ncmix.plots import synthetic


def nc(runs, **options) -> Figure:
    return draw(plots.nc(runs, Options(**options)))


def curves(runs, **options) -> Figure:
    return draw(plots.curves(runs, Options(**options)))


def last_layer(runs, theme="light", **options) -> Figure:
    return draw(plots.last_layer(runs, Options(**options)), theme)


def panel(figure: Figure, title: str) -> Axes:
    """The panel with that title."""
    (found,) = [axes for axes in figure.axes if title in texts(axes)]
    return found


def texts(axes: Axes) -> list[str]:
    return [child.get_text() for child in axes.get_children() if isinstance(child, Annotation | Text)]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def shown(name: str, kind="png", **how) -> bytes:
    return render(PLOTS[name].describe(synthetic.run(epochs=5, mixup=True), Options()), kind, **how)


def only(run: Run, *names: str, epochs: range = range(1000)) -> Run:
    return replace(run, rows=tuple(row for row in run.rows if row.name in names and row.epoch in epochs))


def test_nc_draws_a_panel_a_metric_train_solid_and_test_dashed():
    figure = nc(synthetic.run(epochs=40))
    assert len(figure.axes) == 16
    train, test = panel(figure, "nc1").lines
    assert (train.get_label(), train.get_linestyle()) == ("train", "-")
    assert (test.get_label(), test.get_linestyle()) == ("test", "--")
    assert list(train.get_xdata()) == list(range(1, 41))
    assert legend(figure) == ["train", "test"]
    assert figure.texts[1].get_text() == "digits mlp cross_entropy none seed 0"


def test_axes_are_logarithmic_where_a_metric_falls_over_decades():
    figure = nc(synthetic.run())
    assert panel(figure, "nc1").get_yscale() == "log"
    assert panel(figure, "nc2_norm_means").get_yscale() == "linear"
    assert panel(figure, "nc2_norm_means").get_ylim()[0] <= 0
    flat = Run("flat", {}, tuple(MetricRow(epoch, "train", "nc1", 2.0) for epoch in range(5)))
    assert panel(nc(flat), "nc1").get_yscale() == "linear"


def test_metrics_of_the_classifier_alone_are_drawn_once():
    assert len(panel(nc(synthetic.run()), "nc2_angle_weights").lines) == 1


def test_collapse_of_the_minority_is_drawn_where_it_was_measured():
    run = synthetic.run(epochs=3)
    measured = [MetricRow(epoch, "train", "minority_cosine", 0.3 * epoch) for epoch in (1, 2, 3)]
    balanced = [MetricRow(epoch, "test", "minority_cosine", None, "no minority") for epoch in (1, 2, 3)]
    figure = nc(replace(run, rows=(*run.rows, *measured, *balanced)))
    (line,) = panel(figure, "minority_cosine").lines
    np.testing.assert_allclose(line.get_ydata(), [0.3, 0.6, 0.9])
    assert len(nc(replace(run, rows=(*run.rows, *balanced))).axes) == 16


def test_what_many_names_share_is_said_once():
    figure = nc([only(synthetic.run(f"digits mlp mixup seed {i}"), "nc1") for i in range(5)])
    assert legend(figure)[:5] == [f"seed {i}" for i in range(5)]
    assert "digits mlp mixup …" in [text.get_text() for text in figure.texts]
    few = nc([only(synthetic.run(f"digits mlp mixup seed {i}"), "nc1") for i in range(4)])
    assert legend(few)[0] == "digits mlp mixup seed 0"


@pytest.mark.parametrize(
    ("names", "shared", "own"),
    [
        (["a b 1 z", "a b 2 z", "a b 1 2 z", "a b 3 z", "a b 4 z"], "a … z", ["b 1", "b 2", "b 1 2", "b 3", "b 4"]),
        ([f"{k} runs" for k in "abcde"], "… runs", list("abcde")),
        (["a", "a b", "a c", "a d", "a e"], "", ["a", "a b", "a c", "a d", "a e"]),
        (["a b", "a c"], "", ["a b", "a c"]),
    ],
)
def test_every_name_keeps_what_tells_it_apart(names, shared, own):
    assert naming.apart(names) == (shared, own)


def test_two_runs_share_every_panel_in_two_colours():
    figure = nc([synthetic.run("ERM"), synthetic.run("mixup", mixup=True)])
    lines = panel(figure, "nc1").lines
    assert len(lines) == 4
    assert len({line.get_color() for line in lines}) == 2
    assert legend(figure) == ["ERM", "mixup", "train", "test"]


def test_a_png_is_what_the_canvas_drew():
    with rc_context({"text.hinting": "no_hinting", "font.family": families()}):
        figure = draw(plots.nc(synthetic.run(epochs=5)))
        figure.set_dpi(90)
        canvas = Canvas(figure)
        canvas.draw()
    image = Image.open(BytesIO(shown("nc", size=Size(dpi=90))))
    alone = Image.open(BytesIO(render(plots.nc(synthetic.run(epochs=5)), size=Size(dpi=90))))
    image.verify()
    assert image.info["dpi"] == pytest.approx((90, 90), abs=0.1)
    np.testing.assert_array_equal(np.asarray(alone), np.asarray(canvas.buffer_rgba())[..., :3])


def test_more_runs_than_colours_still_differ():
    figure = nc([only(synthetic.run(f"seed {i}"), "nc1") for i in range(20)])
    train, test = figure.axes[0].collections
    for lines in (train, test):
        assert len(lines.get_segments()) == 20
        assert len(np.unique(lines.get_colors(), axis=0)) == 20
    assert (train.get_label(), test.get_label()) == ("train", "test")


def test_what_was_not_measured_has_no_panel_and_an_undefined_value_is_a_gap():
    rows = [MetricRow(epoch, "train", "nc1", value) for epoch, value in enumerate([4.0, None, 2.0, None, 0.1])]
    figure = nc(Run("gaps", {}, (*rows, MetricRow(0, "train", "nc3", None))))
    assert len(figure.axes) == 1
    drawn = figure.axes[0].lines[0]
    assert np.isnan(np.asarray(drawn.get_ydata())[[1, 3]]).all()
    assert drawn.get_markevery() == [0, 2, 4]


def test_a_long_curve_has_dots_only_where_no_line_reaches():
    rows = [MetricRow(epoch, "train", "nc1", None if epoch in (9, 11) else 1.0) for epoch in range(30)]
    assert nc(Run("gaps", {}, tuple(rows))).axes[0].lines[0].get_markevery() == [10]


def test_a_curve_ends_at_the_epoch_asked_for():
    figure = nc(synthetic.run(epochs=40), epoch=10)
    assert list(panel(figure, "nc1").lines[0].get_xdata()) == list(range(1, 11))
    assert panel(figure, "nc1").get_xlim()[1] < 11


def test_curves_draw_loss_and_accuracy_of_all_three_splits():
    figure = curves(synthetic.run())
    assert [line.get_label() for line in panel(figure, "Loss").lines] == ["running", "train", "test"]
    assert legend(figure) == ["while training", "train", "test"]
    accuracy = panel(figure, "Accuracy")
    assert accuracy.get_ylim()[1] <= 1.02
    assert accuracy.yaxis.get_major_formatter()(0.9) == "90%"


def test_last_layer_draws_every_mixture_in_a_square_frame():
    figure = last_layer(synthetic.run(epochs=40))
    axes = figure.axes[0]
    points = axes.collections[0]
    assert len(points.get_offsets()) == 6 * 300
    assert axes.get_aspect() == 1
    assert {"airplane", "automobile", "bird"} <= set(texts(axes))
    assert any(text.startswith("epoch 40 · eval mode") for text in texts(axes))
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    assert (points.get_offsets() > low).all()
    assert (points.get_offsets() < high).all()


@pytest.mark.parametrize(("theme", "half"), [("light", 0.0), ("dark", 1.0)])
def test_mixtures_are_ink_at_one_half_and_one_hue_a_kind_of_pair_at_the_ends(theme, half):
    run = synthetic.run()
    probe = run.probes[40]
    ends = np.where(np.arange(len(probe.lam)) % 2, 1.0, 0.0).astype(np.float32)
    colours = {}
    for name, lam in {"ends": ends, "middle": np.full_like(ends, 0.5)}.items():
        figure = last_layer(replace(run, probes={40: replace(probe, lam=lam)}), theme=theme)
        colours[name] = np.unique(figure.axes[0].collections[0].get_facecolors()[:, :3], axis=0)
    assert len(colours["ends"]) == 2
    np.testing.assert_allclose(colours["middle"], [[half] * 3], atol=1e-6)


def test_classifier_rows_are_enlarged_by_a_round_number_that_the_title_says():
    run = synthetic.run()
    axes = last_layer(run).axes[0]
    (rows,) = (line.get_xydata() for line in axes.lines if line.get_marker() == "D")
    factor = rows[0, 0] / run.probes[40].classifier[0, 0]
    assert factor == pytest.approx(round(factor))
    assert any(f"classifiers ×{factor:g}" in text for text in texts(axes))
    same = replace(run, probes={1: synthetic.probe(scale=1.0)})
    assert not any("×" in text for text in texts(last_layer(same).axes[0]))


def test_last_layer_of_several_runs_is_a_panel_each():
    runs = [synthetic.run("ERM"), synthetic.run("mixup", mixup=True)]
    figure = last_layer(runs, epoch=20)
    assert [axes for axes in figure.axes if "epoch 20" in " ".join(texts(axes))] == figure.axes[:2]
    assert "ERM" in texts(figure.axes[0])
    assert "mixup" in texts(figure.axes[1])


def test_last_layer_lays_the_theory_over_the_mixtures():
    run = synthetic.run(mixup=True)
    theory = run.probes[40].theory
    figure = last_layer(run)
    axes = figure.axes[0]
    strokes = [patch.get_path() for patch in axes.patches]
    channels = [path for path in strokes if np.array_equal(path.vertices, theory.different.reshape(-1, 2))]
    assert len(channels) == 2  # and their halo
    begun = np.flatnonzero(channels[0].codes == Path.MOVETO)
    assert begun.tolist() == [0, len(theory.different[0]), 2 * len(theory.different[0])]
    (rings,) = (line.get_xydata() for line in axes.lines if line.get_marker() == "o")
    np.testing.assert_array_equal(rings, theory.same)
    assert any("theory m = 0.7, λₕ = 0.01, off by 12%" in text for text in texts(axes))
    assert "theory, best fit" in texts(figure.axes[-1])


def test_last_layer_says_where_theory_is_but_a_convex_combination_and_says_nothing_where_there_is_none():
    run = synthetic.run(mixup=True)
    probe = run.probes[40]
    convex = replace(run, probes={40: replace(probe, theory=replace(probe.theory, kappa=0.01))})
    assert any("theory is convex, off by 12%" in text for text in texts(last_layer(convex).axes[0]))
    without = last_layer(replace(run, probes={40: replace(probe, theory=None)}))
    assert not any("theory" in text for axes in without.axes for text in texts(axes))


def test_very_many_mixtures_are_a_bitmap_a_panel_in_a_vector_file():
    run, large = synthetic.run(), replace(synthetic.run(), probes={0: synthetic.probe(per_pair=5000)})
    for runs, bitmaps in ((run, 0), ([run] * 11, 0), ([run] * 12, 12), (large, 1)):
        svg = render(plots.last_layer(runs), "svg")
        # One more is the key.
        assert svg.count(b"<image") == bitmaps + 1
    assert len(svg) < 1_000_000


@pytest.mark.parametrize(("planes", "per_pair"), [(1, 5000), (12, 400)])
def test_a_bitmap_in_a_vector_file_has_the_mixtures_where_the_panel_has_them(planes, per_pair):
    probe = synthetic.probe(per_pair=per_pair)
    picture = plots.last_layer([replace(synthetic.run(), probes={0: probe})] * planes)
    page = ElementTree.fromstring(render(picture, "svg"))  # noqa: S314 - our own
    images = [each for each in page.iter("{http://www.w3.org/2000/svg}image") if "transform" not in each.attrib]
    figure = draw(picture)
    figure.set_dpi(72)
    mixtures = np.split(np.asarray(figure.axes[0].collections[0].get_offsets()), planes)
    for image, at_P2 in zip(images, mixtures, strict=True):
        # In points from the upper left, as the file has it.
        has_them_there(image, figure.axes[0].transData.transform(at_P2) * (1, -1) + (0, figure.bbox.height))


def has_them_there(image: ElementTree.Element, at: np.ndarray) -> None:
    """Whether dots of a bitmap have ink where these points of the page are, and nowhere else."""
    file = image.get("{http://www.w3.org/1999/xlink}href").partition("base64,")[2]
    inked = (np.asarray(Image.open(BytesIO(base64.b64decode(file)))) < 240).any(axis=2)
    x, y, wide, high = (float(image.get(name)) for name in ("x", "y", "width", "height"))
    assert (wide, high) == pytest.approx((inked.shape[1] * 72 / 160, inked.shape[0] * 72 / 160), abs=1)
    columns, rows = ((at - (x, y)) / (wide, high) * inked.shape[::-1]).astype(int).T
    assert inked[rows, columns].mean() > 0.99
    near = np.zeros_like(inked)
    for up in range(-3, 4):
        for right in range(-3, 4):
            near[(rows + up).clip(0, len(near) - 1), (columns + right).clip(0, near.shape[1] - 1)] = True
    assert not inked[~near].any()


def test_many_planes_say_how_wide_they_are_instead_of_ticks():
    runs = [synthetic.run(f"run {number}") for number in range(7)]
    few, many = last_layer(runs[:6]), last_layer(runs)
    probe = runs[0].probes[40]
    first = many.axes[0].collections[0].get_offsets()[: len(probe.points)]
    inches = np.ptp(first, axis=0) / np.ptp(probe.points, axis=0)
    assert inches[0] == pytest.approx(inches[1])
    # A plane is 2.5 inches wide.
    assert any(text.endswith(f"· width {2.5 / inches[0]:.2g}") for text in texts(many.axes[0]))
    assert not any("width" in text for text in texts(few.axes[0]))
    numbers = [
        [t for t in figure.axes[0].findobj(Text) if re.fullmatch("−?[0-9.]+", t.get_text())] for figure in (few, many)
    ]
    assert len(numbers[0]) > 3
    assert not numbers[1]
    assert "widths in units of h" in texts(many.axes[-1])


def test_on_a_bitmap_dots_of_nearly_one_colour_are_stamped_together_and_none_is_lost():
    rgb = np.random.default_rng(1).random((500, 3)) * (1, 0.2, 0)
    groups = list(dots.shades(rgb))
    assert sorted(np.concatenate([chosen for _, chosen in groups]).tolist()) == list(range(500))
    assert len(groups) < 250
    for colour, chosen in groups:
        np.testing.assert_allclose(rgb[chosen], np.tile(colour, (len(chosen), 1)), atol=0.5 / 24 + 1e-9)


@pytest.mark.parametrize(
    ("draw", "sentence"),
    [
        (lambda: nc([]), "There is no run to draw; at least one is needed."),
        (lambda: nc(Run("new", {}, ())), "There is no neural-collapse metric to draw yet of 'new'."),
        (
            lambda: curves(Run("new", {}, ()), epoch=3),
            "There is no loss or accuracy to draw yet up to epoch 3 of 'new'.",
        ),
        (lambda: last_layer(synthetic.run("a"), epoch=7), "no probe at epoch 7 of 'a'; there are probes at 1, 20, 40."),
        (lambda: last_layer(Run("new", {}, ())), "There is no probe of the mixed geometry of 'new'"),
        (lambda: last_layer(synthetic.run(), theme="sepia"), "'sepia' is not a theme; allowed are light, dark."),
        (lambda: shown("nc", theme="sepia"), "'sepia' is not a theme; allowed are light, dark."),
        (lambda: shown("nc", "gif"), "'gif' is not a format; allowed are png, svg, pdf, html, json, csv."),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(draw, sentence):
    with pytest.raises(PlotError, match=re.escape(sentence)):
        draw()


def test_a_probe_of_a_diverged_run_is_refused():
    probe = synthetic.probe()
    diverged = replace(synthetic.run(), probes={1: replace(probe, points=np.full_like(probe.points, np.nan))})
    with pytest.raises(PlotError, match="holds no finite points"):
        last_layer(diverged)


STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_renders_as_every_image_the_same_twice(name):
    runs = [synthetic.run("ERM", epochs=5), synthetic.run("mixup", epochs=5, mixup=True)]
    for image_format in IMAGES:
        made = [render(PLOTS[name].describe(runs, Options()), image_format) for _ in range(2)]
        assert made[0].startswith(STARTS[image_format])
        assert made[0] == made[1]
        assert render(PLOTS[name].describe(runs, Options()), image_format, theme="dark") != made[0]


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("theme", THEMES)
def test_the_paper_is_dark_in_the_dark_theme(name, theme):
    image = Image.open(BytesIO(shown(name, theme=theme, size=Size(dpi=40))))
    assert (max(image.convert("RGB").getpixel((1, 1))) < 50) == (theme == "dark")


def test_names_that_users_wrote_are_shown_as_they_are():
    odd = [r"$\frac$ <&>", "_hidden", "two\nlines\x07", "_hidden", ""]
    figure = nc([only(synthetic.run(title), "nc1") for title in odd])
    assert [text.strip() for text in legend(figure)][:5] == [
        r"$\frac$ <&>",
        "_hidden",
        "two lines",
        "_hidden (2)",
        "untitled",
    ]
    for plot in PLOTS.values():
        render(plot.describe([synthetic.run(title) for title in odd[:2]], Options()), "svg")


def test_long_names_lose_their_middle():
    (label, _) = figure_labels([synthetic.run("start " + "x" * 200 + f" seed {i}") for i in range(2)])
    assert label.startswith("start")
    assert label.endswith("seed 0")
    assert len(label) <= 64


def figure_labels(runs: list[Run]) -> list[str]:
    return legend(nc([only(run, "nc1") for run in runs]))[: len(runs)]


CROWDED = "resnet18 cifar10 cross_entropy mixup seed 0 " * 4


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("count", [1, 2, 9])
def test_no_text_is_cut_off_or_lies_on_another(name, count):
    figure = draw(PLOTS[name].describe([synthetic.run(f"{CROWDED} {i}", epochs=12) for i in range(count)], Options()))
    texts, box_N4 = text_boxes(figure)
    left_N, bottom_N, right_N, top_N = box_N4.T
    whole_N = (left_N >= 0) & (bottom_N >= 0) & (right_N <= figure.bbox.width) & (top_N <= figure.bbox.height)
    assert not [text for text, whole in zip(texts, whole_N, strict=True) if not whole]
    # Neighbours may share a pixel at each side.
    apart_NN = (right_N[:, None] - 1 < left_N + 1) | (top_N[:, None] - 1 < bottom_N + 1)
    touching_NN = np.triu(~(apart_NN | apart_NN.T), k=1)
    assert not [(texts[a], texts[b]) for a, b in np.argwhere(touching_NN)]


def text_boxes(figure: Figure) -> tuple[list[str], np.ndarray]:
    """What can be read in a figure, and where: left, bottom, right and top of each in pixels."""
    canvas = Canvas(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    shown = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
    inside = [t for t in shown if not outside_its_axis(t)]
    return [text.get_text() for text in inside], np.array([text.get_window_extent(renderer).extents for text in inside])


def outside_its_axis(text: Text) -> bool:
    """Whether this is the label of a tick beyond the axis's limits, which is made but not drawn."""
    for axes in text.figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for tick in [*axis.get_major_ticks(), *axis.get_minor_ticks()]:
                if text in (tick.label1, tick.label2):
                    return not min(limits) <= tick.get_loc() <= max(limits)
    return False


def test_the_collector_of_garbage_is_left_as_it_was():
    picture = plots.nc(synthetic.run(epochs=2))
    for set_to in (gc.disable, gc.enable):
        set_to()
        before = gc.isenabled()
        render(picture)
        assert gc.isenabled() == before
        with pytest.raises(PlotError, match="too low"):
            render(picture, size=Size(height=2.0))
        assert gc.isenabled() == before


def test_threads_may_render_at_once():
    alone = {name: shown(name, "svg") for name in PLOTS}
    with ThreadPoolExecutor(8) as pool:
        jobs = [(name, pool.submit(shown, name, "svg")) for name in PLOTS] * 2
        assert all(job.result() == alone[name] for name, job in jobs)


def test_importing_is_cheap_and_drawing_never_loads_pyplot():
    program = """
import sys
from ncmix.plots import PLOTS, nc, render
assert "matplotlib" not in sys.modules
from ncmix.results import MetricRow, Run
render(nc(Run("a", {}, (MetricRow(1, "train", "nc1", 2.0),))))
assert "matplotlib.pyplot" not in sys.modules
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
