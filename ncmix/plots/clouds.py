"""Clouds as traces of Plotly: mixed features in the plane of three classifiers."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from matplotlib.colors import to_hex
from numpy.typing import NDArray

from ncmix.plots import plane, theme
from ncmix.plots.naming import escaped
from ncmix.plots.picture import Cloud, Layout
from ncmix.plots.tidy import plain
from ncmix.results import Probe

Json = dict[str, Any]

# Inches of a square in a window of a thousand pixels, for the room that names need.
_LARGE, _SMALL = 4.4, 2.2


def traces(cloud: Cloud, colours: theme.Palette, layout: Layout) -> Iterator[Json]:
    """Mixtures, classifier rows, names of classes but in a grid, and what theory expects."""
    probe, large = cloud.probe, layout == "plane"
    # WebGL is quick with very many, but draws over everything else.
    kind = "scatter" if len(probe.points) <= plane.VECTOR_POINTS else "scattergl"
    rgb_P3 = plane.hues(probe, colours)
    for same, name in ((True, "same class"), (False, "different classes")):
        some_P = (probe.first == probe.second) == same
        yield {
            "type": kind, "mode": "markers", "name": name, "legendgroup": name,
            "x": plain(probe.points[some_P, 0]), "y": plain(probe.points[some_P, 1]),
            "marker": {"size": 4 if large else 2.5, "color": [to_hex(rgb) for rgb in rgb_P3[some_P]]},
            "customdata": [f"λ = {lam:.2f}, {a} with {b}" for lam, a, b in
                           zip(probe.lam[some_P], probe.first[some_P], probe.second[some_P], strict=True)],
            "hovertemplate": "%{customdata}<extra></extra>",
        }  # fmt: skip
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


def _names(probe: Probe, tips: NDArray[np.float64], colours: theme.Palette, *, large: bool) -> Json:
    """What the classes are called, clear of the mixtures and of the theory."""
    paths = probe.theory.different.reshape(-1, 2) if probe.theory else np.empty((0, 2))
    shown = np.vstack([probe.points, tips, paths])
    at_32, _, _ = plane.placed(shown, tips, _LARGE if large else _SMALL, probe.class_names)
    return {
        "type": "scatter", "mode": "text", "showlegend": False, "hoverinfo": "skip",
        "x": plain(at_32[:, 0]), "y": plain(at_32[:, 1]), "text": [f"<b>{escaped(n)}</b>" for n in probe.class_names],
        "textfont": {"size": 14 if large else 10, "color": colours.ink},
    }  # fmt: skip
