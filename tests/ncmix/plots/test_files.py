"""Pictures as files: the numbers drawn, pages without a network, sizes."""

import base64
import csv
import html
import io
import json
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ncmix import plots
from ncmix.plots import PLOTS, THEMES, Options, PlotOptionError, Size, bundle, draw, figure, plane, render, theme
from ncmix.plots.heat import colourmap
from ncmix.plots.picture import Cloud, HeatMap, Line
from tests.ncmix.plots import synthetic

RUNS = [synthetic.run("ERM", epochs=5), synthetic.run("<b>$x$</script> & mixup", epochs=5, mixup=True)]


def figure_of(page: bytes) -> dict:
    (found,) = re.findall(r'<script id="figure" type="application/json">(.*?)</script>', page.decode(), re.DOTALL)
    return json.loads(found)


def unpacked(packed: dict) -> np.ndarray:
    """The numbers that plotly.js finds in the bytes."""
    assert packed["dtype"] == "f4"
    return np.frombuffer(base64.b64decode(packed["bdata"]), "<f4")


@pytest.mark.parametrize("name", PLOTS)
def test_json_and_csv_hold_every_number_that_is_drawn(name):
    picture = PLOTS[name].describe(RUNS, Options())
    told = json.loads(render(picture, "json"))
    assert (told["plot"], told["groups"]) == (name, ["ERM", "<b>$x$</script> & mixup"])
    rows = list(csv.DictReader(io.StringIO(render(picture, "csv").decode())))
    (length,) = {len(column) for column in told["data"].values()}
    assert len(rows) == length == sum(points(mark) for panel in picture.panels for mark in panel.marks)
    assert list(rows[0]) == list(told["data"])
    for column, values in told["data"].items():
        kind = next((type(value) for value in values if value is not None), str)
        assert [kind(row[column]) if row[column] else None for row in rows] == values


def points(mark) -> int:
    match mark:
        case Line():
            return len(mark.x)
        case HeatMap():
            return mark.values.size
        case Cloud():
            theory = mark.probe.theory
            return (
                len(mark.probe.points)
                + 3
                + (3 + theory.different.shape[0] * theory.different.shape[1] if theory else 0)
            )


def test_the_table_of_a_line_reads_like_the_line():
    data = json.loads(render(plots.nc(RUNS[0]), "json"))["data"]
    chosen = [i for i, key in enumerate(zip(data["panel"], data["style"], strict=True)) if key == ("nc1", "test")]
    epochs, values = RUNS[0].curve("nc1", "test")
    assert [data["x"][i] for i in chosen] == epochs.tolist()
    assert [data["y"][i] for i in chosen] == values.tolist()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("name", PLOTS)
def test_a_page_holds_the_plot_and_asks_no_other_host(name, theme):
    picture = PLOTS[name].describe(RUNS, Options())
    page = render(picture, "html", theme=theme, library="/assets/plotly.js")
    assert page == render(picture, "html", theme=theme, library="/assets/plotly.js")
    made = figure_of(page)
    axes = [key for key in made["layout"] if key.startswith("xaxis")]
    assert len(axes) == len(picture.panels)
    assert all(0 <= low < high <= 1 for key in axes for low, high in [made["layout"][key]["domain"]])
    assert {trace["xaxis"] for trace in made["data"]} == {key.replace("xaxis", "x") for key in axes}
    assert b'<script src="/assets/plotly.js">' in page
    assert not re.findall(rb"(?:src|href)=.https?:", page)
    assert page.count(b"</script>") == 3


def test_what_users_wrote_is_no_markup_in_a_page():
    page = render(plots.nc(RUNS), "html", library="x").decode()
    assert html.escape("<b>$x$</script> & mixup") in page
    names = {trace["name"] for trace in figure_of(page.encode())["data"]}
    assert "&lt;b&gt;$x$&lt;/script&gt; &amp; mixup · train" in names


def test_an_interactive_line_has_its_band_and_one_entry_in_the_legend():
    runs = [synthetic.run(f"seed {i}", epochs=3 + i) for i in range(3)]
    made = figure_of(render(plots.nc(runs, Options(group_by=("mix.kind",))), "html", library="x"))
    bands = [trace for trace in made["data"] if trace.get("fill") == "toself"]
    assert len(bands) == 16 * 2 - 4
    named = [trace["name"] for trace in made["data"] if trace.get("showlegend")]
    assert sorted(named) == ["none (3 runs) · test", "none (3 runs) · train"]


def test_what_the_names_of_interactive_lines_share_is_said_once():
    spec = {"dataset": "digits", "model": "mlp"}
    runs = [replace(synthetic.run(epochs=3), title=f"digits mlp seed {i}", spec={**spec, "seed": i}) for i in range(5)]
    made = figure(plots.curves(runs))
    assert {trace["name"].split(" · ")[0] for trace in made["data"]} == {f"seed {i}" for i in range(5)}
    assert "digits mlp" in made["layout"]["title"]["text"]
    alone = figure(plots.curves(runs[0]))
    assert {trace["name"].split(" · ")[0] for trace in alone["data"]} == {"digits mlp seed 0"}


def test_interactive_mixtures_lie_below_the_names_of_their_classes_and_clear_of_them():
    made = figure(plots.last_layer(synthetic.run(mixup=True)))["data"]
    kinds = [trace["name"] if "name" in trace else trace["mode"] for trace in made]
    assert kinds.index("text") > max(at for at, kind in enumerate(kinds) if kind == "different classes")
    assert {trace["type"] for trace in made} == {"scatter"}, "WebGL would draw over them"
    names = made[kinds.index("text")]
    points = np.concatenate([np.stack([unpacked(t["x"]), unpacked(t["y"])], 1) for t in made if "customdata" in t])
    assert [re.sub("<.*?>", "", text) for text in names["text"]] == ["airplane", "automobile", "bird"]
    for at in zip(names["x"], names["y"], strict=True):
        assert np.linalg.norm(points - at, axis=1).min() > 0.5
    many = replace(synthetic.run(), probes={0: synthetic.probe(per_pair=1500)})
    assert "scattergl" in {trace["type"] for trace in figure(plots.last_layer(many))["data"]}


def test_interactive_mixtures_say_of_what_they_are_and_are_coloured_as_in_the_image():
    probe = synthetic.probe()
    drawn = figure(plots.last_layer(synthetic.run()))["data"]
    legend = {t["name"]: t["marker"]["color"] for t in drawn if t.get("showlegend")}
    colours = theme.palette("light")
    assert legend == {"same class": colours.same, "different classes": colours.different, "classifier row": colours.ink}
    made = [t for t in drawn if "customdata" in t]
    assert sum(len(unpacked(trace["x"])) for trace in made) == len(probe.points)
    called = dict(zip(probe.classes, probe.class_names, strict=True))
    for trace in made:
        a, b, _ = re.split(" with |, ", trace["hovertemplate"])
        mine = np.array([(called[i], called[j]) == (a, b) for i, j in zip(probe.first, probe.second, strict=True)])
        assert unpacked(trace["x"]).tolist() == probe.points[mine, 0].tolist()
        assert unpacked(trace["customdata"]).tolist() == probe.lam[mine].tolist()
        (_, ink), (_, hue) = trace["marker"]["colorscale"]
        share = unpacked(trace["marker"]["color"])[:, None]
        shown = share * np.array(to_rgb(hue)) + (1 - share) * np.array(to_rgb(ink))
        assert shown == pytest.approx(plane.hues(probe, colours)[mine], abs=1e-6)


def test_a_page_that_stands_alone_holds_plotly_itself():
    page = render(plots.nc(RUNS[0]), "html")
    assert len(page) > bundle.path().stat().st_size
    assert b"src=" not in page[:2000]


@pytest.mark.parametrize("name", PLOTS)
def test_a_picture_is_as_large_as_it_is_asked_to_be(name):
    picture = PLOTS[name].describe(RUNS[0], Options())
    size = Size(7.0, 10.0, 50)
    assert Image.open(io.BytesIO(render(picture, "png", size=size))).size == (350, 500)
    figure = draw(picture, size=size)
    places = np.array([axes.get_position().extents for axes in figure.axes])
    assert (places[:, :2] >= 0).all()
    assert (places[:, 2:] <= 1).all()


def test_a_narrow_figure_has_fewer_panels_side_by_side():
    columns = {
        width: len({round(axes.get_position().x0, 3) for axes in draw(plots.nc(RUNS[0]), size=Size(width)).axes})
        for width in (3.3, 7.0, 12.0)
    }
    assert columns == {3.3: 1, 7.0: 3, 12.0: 4}


@pytest.mark.parametrize(
    ("ask", "sentence"),
    [
        (lambda: Size(1.0), "width 1 is not allowed; it is in inches, 2 to 40"),
        (lambda: Size(height=50.0), "height 50 is not allowed; it is in inches, 2 to 40"),
        (lambda: Size(dpi=9999), "dpi 9999 is not allowed; allowed are 40 to 600"),
        (lambda: draw(plots.nc(RUNS[0]), size=Size(height=3.0)), "too low for 4 rows of panels; it needs"),
        (lambda: draw(plots.last_layer(RUNS), size=Size(2.0)), "too small for what is in it; it needs"),
        (lambda: render(plots.nc(RUNS[0]), size=Size(40.0, 40.0, 600)), "24000 × 24000 dots is too large"),
    ],
)
def test_sizes_that_serve_nobody_are_refused(ask, sentence):
    with pytest.raises(PlotOptionError, match=re.escape(sentence)):
        ask()


def test_every_plot_says_what_it_shows():
    assert all(plot.description.endswith(".") for plot in PLOTS.values())


def test_every_cell_of_a_map_has_the_colour_of_its_value_all_over():
    picture = plots.confusion(RUNS[0])
    (drawn,) = picture.panels[0].marks
    (figure := draw(picture)).set_dpi(160)
    box = figure.axes[0].get_window_extent()
    image = np.asarray(Image.open(io.BytesIO(render(picture, "png"))))
    expected = colourmap(drawn, theme.palette("light"))((drawn.values - drawn.low) / (drawn.high - drawn.low))
    rows, columns = drawn.values.shape
    for row, column in np.ndindex(rows, columns):
        # Near its upper left corner: its number stands in the middle.
        x = box.x0 + box.width * (column + 0.1) / columns
        y = len(image) - box.y1 + box.height * (row + 0.1) / rows
        np.testing.assert_allclose(image[int(y), int(x)] / 255, expected[row, column, :3], atol=1 / 255)
