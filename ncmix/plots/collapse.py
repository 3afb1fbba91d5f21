"""The figure `nc`: every neural-collapse metric over the epochs, one small panel each, in the order NC0 to NC4."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ncmix.plots import panels, series, theme
from ncmix.plots.options import PlotError, Theme
from ncmix.results import Run


@dataclass(frozen=True)
class Drawn:
    """How a metric is shown: what it says, whether it falls over decades, whether it is a share of samples.

    A metric of the classifier alone is the same on both splits and is drawn once.
    """

    meaning: str
    falling: bool = False
    classifier_only: bool = False
    share: bool = False


METRICS: dict[str, Drawn] = {
    "nc0": Drawn("classifier rows do not sum to zero", falling=True, classifier_only=True),
    "nc1": Drawn("within-class over between-class scatter", falling=True),
    "nc1_quotient": Drawn("quotient of the scatters' traces", falling=True),
    "nc1_cdnv": Drawn("class-distance normalised variance", falling=True),
    "nc2_norm_means": Drawn("spread of the class means' norms"),
    "nc2_norm_weights": Drawn("spread of the classifiers' norms", classifier_only=True),
    "nc2_angle_means": Drawn("class means' angles from the simplex"),
    "nc2_angle_weights": Drawn("classifiers' angles from the simplex", classifier_only=True),
    "nc2_etf_means": Drawn("class means' distance from the simplex"),
    "nc2_etf_weights": Drawn("classifiers' distance from the simplex", classifier_only=True),
    "nc2_uniformity": Drawn("spread of log distances of class means"),
    "nc3": Drawn("classifiers' distance from class means"),
    "nc3_wh": Drawn("classifiers × means, distance from simplex"),
    "nc3_uniform": Drawn("variance of classifiers' alignment with means", falling=True),
    "nc4": Drawn("disagreement with nearest class mean", share=True),
    "nc4_bias": Drawn("logits at the global mean, ‖Wμ + b‖", falling=True),
}

COLUMNS = 4


def draw(runs: Run | Sequence[Run], epoch: int | None, name: Theme) -> Figure:
    """See ncmix.plots.nc."""
    listed = series.as_runs(runs)
    curves = [series.read(run, epoch) for run in listed]
    shown = [metric for metric in METRICS if series.has(curves, metric, ("train", "test"))]
    if not shown:
        raise PlotError(panels.nothing(listed, "neural-collapse metric", epoch))
    board = panels.board(listed, name, panels.SMALL, "Neural collapse", len(shown), COLUMNS)
    for metric, axes in zip(shown, board.axes, strict=True):
        _panel(board, axes, metric, curves)
    return panels.finish(board, curves, [s for s in ("train", "test") if _measured(curves, s)])


def _measured(curves: Sequence[series.Curves], split: str) -> bool:
    return any(series.has(curves, metric, (split,)) for metric in METRICS)


def _panel(board: panels.Board, axes: Axes, metric: str, curves: Sequence[series.Curves]) -> None:
    drawn = METRICS[metric]
    lines = [
        (colour, split, found[metric, split])
        for colour, found in zip(board.run_colours, curves, strict=True)
        for split in _splits(drawn, metric, found)
    ]
    for colour, split, curve in lines:
        series.line(axes, curve, colour, split)
    series.scale(axes, [curve for *_, curve in lines], falling=drawn.falling)
    if drawn.share:
        axes.yaxis.set_major_formatter(series.SHARE)
    theme.head(axes, metric, drawn.meaning, board.colours)


def _splits(drawn: Drawn, metric: str, found: series.Curves) -> list[str]:
    measured = [split for split in ("train", "test") if (metric, split) in found]
    return measured[:1] if drawn.classifier_only else measured
