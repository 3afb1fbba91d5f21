"""Clouds as traces of Plotly: mixed features in the plane of three classifiers."""

from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ncmix.plots import framing, theme
from ncmix.plots.naming import escaped
from ncmix.plots.picture import Cloud, Layout
from ncmix.plots.tidy import plain
from ncmix.results import Probe

Json = dict[str, Any]

# Inches of a square in a window of a thousand pixels, for the room that names need.
_LARGE, _SMALL = 4.4, 2.2

# WebGL is quick with more dots than this in a panel, but draws over everything else.
_MOST_WITHOUT_WEBGL = 6000


def traces(cloud: Cloud, colours: theme.Palette, layout: Layout) -> Iterator[Json]:
    """Mixtures, classifier rows, names of classes but in a grid, and what theory expects."""
    probe, large = cloud.probe, layout == "plane"
    pairs = {*zip(probe.first.tolist(), probe.second.tolist(), strict=True)}
    # Below those of different classes lie those of the same.
    for first, second in sorted(pairs, key=lambda pair: (pair[0] != pair[1], pair)):
        yield from _mixtures(probe, first, second, colours, 4 if large else 2.5)
    tips = cloud.factor * np.asarray(probe.classifier, np.float64)
    # From the origin to each tip and back: one line for all three.
    spokes = np.stack([np.zeros_like(tips), tips, np.zeros_like(tips)], 1).reshape(-1, 2)
    yield {
        "type": "scatter", "mode": "lines+markers", "name": "classifier row", "legendgroup": "classifier",
        "x": plain(spokes[:, 0]), "y": plain(spokes[:, 1]), "line": {"color": colours.ink, "width": 1.5},
        "marker": {"size": [0, 10 if large else 5, 0] * len(tips), "symbol": "diamond", "color": colours.ink,
                   "opacity": 1, "line": {"color": colours.paper, "width": 1}},
    }  # fmt: skip
    if layout != "grid":
        yield _names(probe, tips, colours, large=large)
    if fit := probe.theory:
        yield {
            "type": "scatter", "mode": "markers", "name": "theory, best fit", "legendgroup": "theory",
            "x": plain(fit.same[:, 0]), "y": plain(fit.same[:, 1]), "showlegend": False,
            "marker": {"size": 12, "symbol": "circle-open", "color": colours.theory, "line": {"width": 2}},
        }  # fmt: skip
        for path in fit.different:
            yield {
                "type": "scatter", "mode": "lines", "name": "theory, best fit", "legendgroup": "theory",
                "x": plain(path[:, 0]), "y": plain(path[:, 1]), "line": {"color": colours.theory, "width": 2},
            }  # fmt: skip


def _mixtures(probe: Probe, first: int, second: int, colours: theme.Palette, size: float) -> Iterator[Json]:
    """The mixtures of two classes, which may be one, and their entry of the legend.

    Without one of its own a legend would show whatever colour the first mixture has.
    """
    some_P = (probe.first == first) & (probe.second == second)
    called = {number: escaped(name) for number, name in zip(probe.classes, probe.class_names, strict=True)}
    name, hue = ("same class", colours.same) if first == second else ("different classes", colours.different)
    kind = {"mode": "markers", "name": name, "legendgroup": name}
    yield {**kind, "type": "scatter", "x": [None], "y": [None], "marker": {"size": size, "color": hue}}
    yield {
        **kind,
        "type": "scatter" if len(probe.points) <= _MOST_WITHOUT_WEBGL else "scattergl",
        "showlegend": False,
        "x": _packed(probe.points[some_P, 0]), "y": _packed(probe.points[some_P, 1]),
        # Ink at λ = ½, as in `plane.hues`.
        "marker": {"size": size, "color": _packed(np.abs(2 * probe.lam[some_P] - 1)),
                   "cmin": 0, "cmax": 1, "colorscale": [[0, colours.ink], [1, hue]]},
        "customdata": _packed(probe.lam[some_P]),
        "hovertemplate": f"{called[first]} with {called[second]}, λ = %{{customdata:.2f}}<extra></extra>",
    }  # fmt: skip


def _packed(values: NDArray[np.floating]) -> Json:
    """Numbers in a row as plotly.js reads them in bytes, float32: a third of the text, and a tenth of the work."""
    return {"dtype": "f4", "bdata": b64encode(values.astype("<f4").tobytes()).decode()}


def _names(probe: Probe, tips: NDArray[np.float64], colours: theme.Palette, *, large: bool) -> Json:
    """What the classes are called, clear of the mixtures and of the theory."""
    paths = probe.theory.different.reshape(-1, 2) if probe.theory else np.empty((0, 2))
    shown = np.vstack([probe.points, tips, paths])
    at_32, _, _ = framing.placed(shown, tips, _LARGE if large else _SMALL, probe.class_names)
    return {
        "type": "scatter", "mode": "text", "showlegend": False, "hoverinfo": "skip",
        "x": plain(at_32[:, 0]), "y": plain(at_32[:, 1]), "text": [f"<b>{escaped(n)}</b>" for n in probe.class_names],
        "textfont": {"size": 14 if large else 10, "color": colours.ink},
    }  # fmt: skip
