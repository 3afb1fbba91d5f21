"""A picture as a Plotly figure: the JSON that plotly.js draws, and a page that holds it."""

import html
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pydantic_core
from matplotlib.colors import to_hex

from ncmix.plots import arranging, clouds, heat, naming, theme
from ncmix.plots.arranging import ABOVE, INCH, LEFT, RIGHT
from ncmix.plots.naming import escaped
from ncmix.plots.options import Size, Theme
from ncmix.plots.picture import STYLES, Axis, Cloud, HeatMap, Line, Panel, Picture, Style
from ncmix.plots.thinning import thinned
from ncmix.plots.tidy import plain

Json = dict[str, Any]

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>html {{ overflow-y: scroll; color-scheme: {theme};
background: {paper}; color: {ink}; font-family: system-ui, sans-serif }}
body {{ margin: 0 }}</style>
{library}
</head>
<body>
<div id="plot" role="img" aria-label="{title}"></div>
<noscript>This plot needs JavaScript. The same address ending in .png, .svg, .json or .csv does not.</noscript>
<script id="figure" type="application/json">{figure}</script>
<script>
const figure = JSON.parse(document.getElementById("figure").textContent);
const fitting = () => figure.arrangements.find(({{least}}) => innerWidth >= least) ?? figure.arrangements.at(-1);
let now;
function arrange() {{
  if (now === fitting()) return;
  now = fitting();
  const layout = {{...figure.layout, height: now.height, uirevision: "kept"}};
  now.places.forEach(([x, y], number) => {{
    const suffix = number ? number + 1 : "";
    layout["xaxis" + suffix] = {{...layout["xaxis" + suffix], domain: x}};
    layout["yaxis" + suffix] = {{...layout["yaxis" + suffix], domain: y}};
  }});
  layout.annotations = layout.annotations.map((head, number) => (
    {{...head, x: now.places[number][0][0], y: now.places[number][1][1]}}));
  Plotly.react("plot", figure.data, layout, {{responsive: true, displaylogo: false}});
}}
arrange();
addEventListener("resize", arrange);
</script>
</body>
</html>
"""


def page(picture: Picture, name: Theme, size: Size, library: str) -> bytes:
    """A page of HTML; `library` is the element that brings plotly.js, by its address or whole."""
    colours = theme.palette(name)
    held = figure(picture, name, size) | {"arrangements": arranging.arrangements(picture, size)}
    # "<" can end a script, even inside JSON.
    made = pydantic_core.to_json(held).decode()
    return _PAGE.format(
        title=html.escape(f"{picture.title}: {', '.join(picture.groups)}"),
        theme=name,
        paper=colours.paper,
        ink=colours.ink,
        library=library,
        figure=made.replace("<", "\\u003c"),
    ).encode()


def figure(picture: Picture, name: Theme, size: Size) -> Json:
    """`data` and `layout` for Plotly; as wide as the window unless a width is asked for."""
    colours = theme.palette(name)
    run_colours = theme.run_colours(colours, name, len(picture.groups))
    data: list[Json] = []
    square = picture.of_maps or picture.of_planes
    # What names share is said once.
    shared, names = naming.apart(picture.groups)
    picture = replace(thinned(arranging.fitted(picture, size)), groups=tuple(names))
    frame = _frame(picture, shared, size, colours)
    for number, (panel, place) in enumerate(
        zip(picture.panels, arranging.places(picture, frame["height"]), strict=True), 1
    ):
        suffix = "" if number == 1 else str(number)
        frame[f"xaxis{suffix}"] = _axis(panel.x, place[0], f"y{suffix}", colours) | _fixed(panel, panel.x)
        frame[f"yaxis{suffix}"] = _axis(panel.y, place[1], f"x{suffix}", colours) | _fixed(panel, panel.y, up=True)
        if picture.of_planes:
            frame[f"xaxis{suffix}"]["showgrid"] = frame[f"yaxis{suffix}"]["showgrid"] = False
        if square:
            frame[f"yaxis{suffix}"] |= {"scaleanchor": f"x{suffix}", "constrain": "domain", "constraintoward": "top"}
            frame[f"xaxis{suffix}"] |= {"constrain": "domain", "constraintoward": "left"}
        frame["annotations"].append(_head(*naming.words(panel, picture, names), place, colours))
        axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
        data += [trace | axes for trace in _traces(panel, picture, run_colours, colours)]
    _name_once(data)
    return {"data": data, "layout": frame}


def _frame(picture: Picture, shared: str, size: Size, colours: theme.Palette) -> Json:
    made: Json = {
        "height": arranging.height(picture, size),
        "margin": {"l": LEFT, "r": RIGHT, "t": ABOVE, "b": arranging.below(picture)},
        "paper_bgcolor": colours.paper,
        "plot_bgcolor": colours.paper,
        "font": {"color": colours.ink, "size": 12},
        "title": {"text": _title(picture, shared), "x": 0.01, "xanchor": "left", "y": 1, "yanchor": "top",
                  "yref": "container", "pad": {"t": 28}},
        "showlegend": not picture.of_maps,
        # At the foot: how many lines it takes depends on the window, and there it is in nobody's way.
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "y": 0, "yanchor": "bottom", "yref": "container",
                   "font": {"size": 11}},
        "hovermode": "closest",
        "annotations": [],
    }  # fmt: skip
    return made | ({"width": round(size.width * INCH)} if size.width else {})


def _title(picture: Picture, shared: str) -> str:
    said = ", ".join(filter(None, (shared, picture.note))) or (picture.groups[0] if len(picture.groups) == 1 else "")
    return f"<b>{escaped(picture.title)}</b>" + (f"<br><sup>{escaped(said)}</sup>" if said else "")


def _axis(axis: Axis, domain: list[float], anchor: str, colours: theme.Palette) -> Json:
    made: Json = {
        "domain": domain,
        "anchor": anchor,
        "title": {"text": axis.label, "font": {"size": 11}, "standoff": 6},
        "gridcolor": colours.grid,
        "linecolor": colours.muted,
        "tickfont": {"size": 10, "color": colours.muted},
        "zeroline": False,
        "ticks": "outside",
        "tickcolor": colours.muted,
        "type": "log" if axis.log else "linear",
        "nticks": axis.count + 2,
    }
    if axis.log:
        made |= {"dtick": 1 if axis.high / axis.low >= 300 else "L1", "exponentformat": "power"}
        made.pop("dtick") if axis.high / axis.low < 300 else None
    if axis.share:
        made["tickformat"] = ".0%" if not axis.log else ".2~%"
    if axis.ticks:
        made |= {"tickvals": [at for at, _ in axis.ticks], "ticktext": [escaped(name) for _, name in axis.ticks]}
    return made


def _fixed(panel: Panel, axis: Axis, *, up: bool = False) -> Json:
    """The range: that of the data for clouds, downwards for the rows of a map."""
    if any(isinstance(mark, Cloud) for mark in panel.marks):
        return {"autorange": True}
    if axis.log:
        return {"range": [math.log10(axis.low), math.log10(axis.high)]}
    if up and any(isinstance(mark, HeatMap) for mark in panel.marks):
        return {"range": [axis.high, axis.low]}
    return {"range": [axis.low, axis.high]}


def _head(name: str, meaning: str, place: tuple[list[float], list[float]], colours: theme.Palette) -> Json:
    lines = [f"<b>{escaped(name)}</b>"] if name else []
    lines += (f'<span style="color:{colours.muted}">{escaped(line)}</span>' for line in naming.lines(meaning))
    return {
        "text": "<br>".join(lines), "showarrow": False, "align": "left", "font": {"size": 11},
        "xref": "paper", "yref": "paper", "x": place[0][0], "y": place[1][1], "xanchor": "left", "yanchor": "bottom",
    }  # fmt: skip


def _traces(panel: Panel, picture: Picture, run_colours: Sequence[str], colours: theme.Palette) -> Iterator[Json]:
    for mark in panel.marks:
        match mark:
            case Line():
                yield from _line(mark, picture, run_colours, colours)
            case HeatMap():
                yield _heat(mark, colours)
            case Cloud():
                yield from clouds.traces(mark, colours, picture.layout)


def _line(line: Line, picture: Picture, run_colours: Sequence[str], colours: theme.Palette) -> Iterator[Json]:
    style = STYLES[line.style]
    colour = colours.muted if line.group is None else run_colours[line.group]
    group = "" if line.group is None else picture.groups[line.group]
    name = escaped(" · ".join(filter(None, (group, style.meaning))))
    # A band as wide as a point is none: it is a bar.
    bar = {} if line.std is None or len(line.x) > 1 else {"error_y": {"array": plain(line.std), "thickness": 2}}
    if line.std is not None and not bar:
        yield _band(line, line.std, colour, name)
    few = bool(style.marker) and len(line.x) <= 16
    yield {
        "type": "scatter",
        "mode": "lines+markers" if few else "lines",
        "name": name,
        "legendgroup": name,
        "x": plain(line.x),
        "y": plain(line.y),
        "line": {"color": colour, "width": 1.3 * style.width, "dash": _dash(style)},
        "marker": {"color": colour, "size": 5, "symbol": "circle-open" if style.hollow else "circle"},
    } | bar


def _band(line: Line, std: np.ndarray, colour: str, name: str) -> Json:
    """A closed outline around mean ± std, filled."""
    x, low, high = plain(line.x), plain(line.y - std), plain(line.y + std)
    return {
        "type": "scatter", "mode": "lines", "x": x + x[::-1], "y": high + low[::-1], "fill": "toself",
        "fillcolor": f"{colour}2e", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False, "legendgroup": name,
    }  # fmt: skip


def _dash(style: Style) -> str:
    if style.dashes == "solid":
        return "solid"
    return "dash" if style.dashes[1][0] > 2 else "dot"


def _heat(mark: HeatMap, colours: theme.Palette) -> Json:
    scale = heat.colourmap(mark, colours)
    return {
        "type": "heatmap",
        "z": [plain(row) for row in mark.values],
        "zmin": mark.low,
        "zmax": mark.high,
        "colorscale": [[at, to_hex(scale(at))] for at in (0.0, 0.5, 1.0)],
        "colorbar": {"tickformat": ".0%" if mark.shares else "", "thickness": 12},
        "customdata": [[f"{escaped(row)} / {escaped(column)}" for column in mark.columns] for row in mark.rows],
        "hovertemplate": "%{customdata}: %{z:.3f}<extra></extra>",
    }


def _name_once(data: list[Json]) -> None:
    """A legend names what recurs in every panel only once, and hides all of it together."""
    seen: set[str] = set()
    for trace in data:
        group = trace.get("legendgroup")
        if group is not None and trace.get("showlegend", True):
            trace["showlegend"] = group not in seen
            seen.add(group)
