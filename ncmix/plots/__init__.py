"""Numbers to figures: each plot is a function from runs to a matplotlib Figure, free of pyplot and its global state.

Importing this module is cheap: matplotlib, which takes a second to import, is loaded by the first figure.
"""

# ruff: noqa: PLC0415 - the imports inside functions are what keeps importing cheap

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from ncmix.plots.options import FORMATS, THEMES, Format, PlotError, Theme
from ncmix.results import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FORMATS",
    "PLOTS",
    "THEMES",
    "Format",
    "Plot",
    "PlotError",
    "Theme",
    "curves",
    "last_layer",
    "nc",
    "render",
]


def nc(runs: Run | Sequence[Run], *, epoch: int | None = None, theme: Theme = "light") -> "Figure":
    """Every neural-collapse metric, NC0 to NC4, over the epochs up to `epoch`; train solid, test dashed.

    One colour a run. Metrics that fall over decades have a logarithmic axis; undefined values are missing.

    Raises:
        PlotError: none of the runs has such a metric.
    """
    from ncmix.plots import collapse

    return collapse.draw(runs, epoch, theme)


def curves(runs: Run | Sequence[Run], *, epoch: int | None = None, theme: Theme = "light") -> "Figure":
    """Loss and accuracy over the epochs up to `epoch`: of the epoch's own batches dotted, train solid, test dashed.

    Raises:
        PlotError: none of the runs has a loss or an accuracy.
    """
    from ncmix.plots import learning

    return learning.draw(runs, epoch, theme)


def last_layer(runs: Run | Sequence[Run], *, epoch: int | None = None, theme: Theme = "light") -> "Figure":
    """Mixed features in the plane of three classifiers at `epoch` (default: each run's last probe); a panel a run.

    Same-class mixtures in one hue, different-class mixtures in another, λ = ½ in ink (Fisher et al. 2024, Fig. 1).

    Raises:
        PlotError: a run has no probe at that epoch, or none at all.
    """
    from ncmix.plots import mixtures

    return mixtures.draw(runs, epoch, theme)


def render(figure: "Figure", image_format: Format = "png", *, dpi: int = 160) -> bytes:
    """The figure as a file: the same figure gives the same bytes. May be called from any thread.

    Raises:
        PlotError: the format is not one of FORMATS.
    """
    from ncmix.plots import rendering

    return rendering.render(figure, image_format, dpi)


class Plot(Protocol):
    """A function from one or several runs to a figure of their state at an epoch (default: the last)."""

    def __call__(self, runs: Run | Sequence[Run], *, epoch: int | None = None, theme: Theme = "light") -> "Figure": ...


# By the name in URLs and on the command line.
PLOTS: dict[str, Plot] = {"nc": nc, "curves": curves, "last-layer": last_layer}
