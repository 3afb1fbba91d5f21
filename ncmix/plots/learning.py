"""The figure `curves`: loss and accuracy over the epochs."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ncmix.plots import panels, series, theme
from ncmix.plots.options import PlotError, Theme
from ncmix.results import Run

PANELS: dict[str, str] = {
    "loss": "training objective; on clean data for train and test",
    "accuracy": "share of samples classified as labelled",
}
SPLITS = ("running", "train", "test")


def draw(runs: Run | Sequence[Run], epoch: int | None, name: Theme) -> Figure:
    """See ncmix.plots.curves."""
    listed = series.as_runs(runs)
    curves = [series.read(run, epoch) for run in listed]
    shown = [metric for metric in PANELS if series.has(curves, metric, SPLITS)]
    if not shown:
        raise PlotError(panels.nothing(listed, "loss or accuracy", epoch))
    board = panels.board(listed, name, panels.LARGE, "Learning curves", len(shown), len(PANELS))
    for metric, axes in zip(shown, board.axes, strict=True):
        _panel(board, axes, metric, curves)
    drawn = [split for split in SPLITS if any(series.has(curves, metric, (split,)) for metric in PANELS)]
    return panels.finish(board, curves, drawn)


def _panel(board: panels.Board, axes: Axes, metric: str, curves: Sequence[series.Curves]) -> None:
    lines = [
        (colour, split, found[metric, split])
        for split in SPLITS
        for colour, found in zip(board.run_colours, curves, strict=True)
        if (metric, split) in found
    ]
    for colour, split, curve in lines:
        series.line(axes, curve, colour, split)
    if metric == "accuracy":
        _share(axes)
    else:
        series.scale(axes, [curve for *_, curve in lines], falling=True)
    theme.head(axes, metric.capitalize(), PANELS[metric], board.colours)


def _share(axes: Axes) -> None:
    axes.margins(y=0.06)
    low, high = axes.get_ylim()
    axes.set_ylim(max(low, -0.02), min(high, 1.02))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=theme.STEPS))
    axes.yaxis.set_major_formatter(series.SHARE)
