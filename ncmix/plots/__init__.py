"""Numbers to figures: each plot is a function from runs to a `Picture`, which describes what is drawn; `draw` turns
that into a matplotlib Figure, and `render` into a file: an image, an interactive page, or the numbers themselves.

Importing this module is cheap: matplotlib, which takes a second to import, is loaded by the first figure, and pyplot
with its global state never. A plot is added as one function here and one row in PLOTS.
"""

# ruff: noqa: PLC0415 - the imports inside functions are what keeps importing cheap

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ncmix.plots import calibration, classes, collapse, learning, mixtures, responses, spectra
from ncmix.plots.options import (
    FORMATS,
    IMAGES,
    THEMES,
    Format,
    Image,
    Options,
    PlotError,
    PlotOptionError,
    Size,
    Split,
    Theme,
)
from ncmix.plots.picture import Picture
from ncmix.results import MetricRow, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FORMATS",
    "IMAGES",
    "PLOTS",
    "THEMES",
    "Format",
    "Image",
    "Options",
    "Picture",
    "Plot",
    "PlotError",
    "PlotOptionError",
    "Size",
    "Split",
    "Theme",
    "channel",
    "confusion",
    "curves",
    "draw",
    "figure",
    "gram",
    "last_layer",
    "last_layer_grid",
    "nc",
    "norms",
    "reliability",
    "render",
    "spectrum",
    "warm",
]

Runs = Run | Sequence[Run]
_PLAIN = Options()


def nc(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Every neural-collapse metric, NC0 to NC4, over the epochs; train solid, test dashed.

    One colour a run. Metrics that fall over decades have a logarithmic axis; undefined values are missing. Of unequal
    classes the minority's collapse follows.

    Raises:
        PlotError: none of the runs has such a metric. So it is with every plot: what is not there is a sentence.
    """
    return collapse.describe(runs, options)


def curves(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Loss and accuracy over the epochs: of the epoch's own batches dotted, train solid, test dashed."""
    return learning.describe(runs, options)


def last_layer(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Mixed features in the plane of three classifiers at an epoch (default: each run's last probe); a panel a run.

    Same-class mixtures in one hue, different-class mixtures in another, λ = ½ in ink, the theory that fits best in
    green (Fisher et al. 2024, Fig. 1).
    """
    return mixtures.last_layer(runs, options)


def last_layer_grid(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Mixed features in the plane of three classifiers as they move: runs below each other, epochs side by side.

    The epochs asked for, or up to six of those at which every run was probed, even on a logarithmic scale.
    """
    return mixtures.last_layer_grid(runs, options)


def channel(runs: Runs, options: Options = _PLAIN) -> Picture:
    """How mixtures of two classes answer to λ: z_i − z_j against logit λ, and amplification against λ, with theory.

    Means over the three probed pairs of classes; dashed the unconstrained-features optimum that fits best; dotted
    z_i − z_j = logit λ, which is its limit without decay, and 1, which a convex combination gives.
    """
    return responses.describe(runs, options)


def gram(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Cosines between class means, less the global mean, and between classifiers; in a simplex all are −1/(K−1)."""
    return classes.gram(runs, options)


def norms(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Length of each class's mean, less the global mean, and of its classifier: equal when collapsed."""
    return classes.norms(runs, options)


def confusion(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Which share of each class's samples the network takes for which class."""
    return classes.confusion(runs, options)


def spectrum(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Spread of features in each principal direction, between and within classes, at an epoch and over the epochs.

    The roots of the eigenvalues of Σ_B (solid) and Σ_W (dashed), in the units of the features, largest first. Over the
    epochs the largest and the smallest between classes, and the largest within: collapse parts them.
    """
    return spectra.describe(runs, options)


def reliability(runs: Runs, options: Options = _PLAIN) -> Picture:
    """Accuracy against confidence in 15 bins, and how many samples each bin holds (Guo et al. 2017)."""
    return calibration.describe(runs, options)


def draw(picture: Picture, theme: Theme = "light", size: Size = Size()) -> "Figure":  # noqa: B008 - it is frozen
    """The picture as a matplotlib Figure.

    Raises:
        PlotError: there is no such theme.
        PlotOptionError: the panels do not fit into that size.
    """
    from ncmix.plots import drawing

    return drawing.draw(picture, theme, size)


def render(
    picture: Picture,
    kind: Format = "png",
    *,
    theme: Theme = "light",
    size: Size = Size(),  # noqa: B008
    library: str | None = None,
) -> bytes:
    """The picture as a file: the same picture gives the same bytes. May be called from any thread.

    png, svg and pdf are drawn by matplotlib, html by Plotly; json and csv are the numbers drawn. `library` is the
    address from which the page of html loads plotly.js; without one it holds all of it and stands alone.

    Raises:
        PlotError: there is no such format or theme, or html is asked for where plotly is not installed.
        PlotOptionError: the panels do not fit into that size.
    """
    from ncmix.plots import files

    return files.render(picture, kind, theme, size, library)


def figure(picture: Picture, theme: Theme = "light", size: Size = Size()) -> dict[str, Any]:  # noqa: B008
    """The picture as `data` and `layout` for Plotly, plain values alone.

    Raises:
        PlotError: there is no such theme.
    """
    from ncmix.plots import interactive

    return interactive.figure(picture, theme, size)


@cache
def warm() -> None:
    """Load what drawing needs, and draw once: for a service whose first picture shall be as quick as the next."""
    rows = tuple(MetricRow(epoch, "train", "nc1", 1.0 / epoch) for epoch in (1, 100))
    render(nc(Run("warm", {}, rows)))


@dataclass(frozen=True)
class Plot:
    """A row of PLOTS: the function, and which metrics, probes or summaries of runs it looks at.

    Attributes:
        describe: runs to a picture.
        metrics: the curves that it needs.
        set: the array set, by name, that it needs of the epoch it shows; empty if none.
    """

    describe: Callable[[Runs, Options], Picture]
    metrics: tuple[str, ...] = ()
    set: str = ""

    @property
    def description(self) -> str:
        """What it shows, in a sentence."""
        return " ".join((self.describe.__doc__ or "").split("\n\n")[0].split())


# By the name in URLs and on the command line.
PLOTS: dict[str, Plot] = {
    "nc": Plot(nc, metrics=tuple(collapse.METRICS)),
    "curves": Plot(curves, metrics=tuple(learning.PANELS)),
    "last-layer": Plot(last_layer, set="geometry"),
    "last-layer-grid": Plot(last_layer_grid, set="geometry"),
    "channel": Plot(channel, set="geometry"),
    "gram": Plot(gram, set="summary"),
    "norms": Plot(norms, set="summary"),
    "confusion": Plot(confusion, set="summary"),
    "spectrum": Plot(spectrum, set="spectrum"),
    "reliability": Plot(reliability, set="summary"),
}
