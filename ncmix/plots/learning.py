"""The plot `curves`: loss and accuracy over the epochs."""

from collections.abc import Sequence

from ncmix.plots import groups, picture, series
from ncmix.plots.naming import nothing
from ncmix.plots.options import Options, PlotError
from ncmix.plots.picture import Axis, Line, Panel, Picture
from ncmix.results import Run

PANELS: dict[str, str] = {
    "loss": "training objective; on clean data for train and test",
    "accuracy": "share of samples classified as labelled",
}
SPLITS = ("running", "train", "test")


def describe(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.curves."""
    found = groups.grouped(runs, options.group_by)
    drawn = {metric: series.lines(found, metric, SPLITS, options.epoch) for metric in PANELS}
    drawn = {metric: lines for metric, lines in drawn.items() if lines}
    if not drawn:
        raise PlotError(nothing(groups.as_runs(runs), "loss or accuracy", options.epoch))
    x = picture.epochs(list(drawn.values()))
    panels = [Panel(m.capitalize(), PANELS[m], x, _vertical(m, lines), tuple(lines)) for m, lines in drawn.items()]
    styles = {line.style for lines in drawn.values() for line in lines}
    return Picture(
        "curves",
        groups.caption("Learning curves", options.group_by),
        groups.names(found),
        tuple(panels),
        len(PANELS),
        "large",
        key=tuple(split for split in SPLITS if split in styles),
        note=", ".join(filter(None, (groups.note(found), series.thinned(found)))),
    )


def _vertical(metric: str, lines: Sequence[Line]) -> Axis:
    return picture.shares(lines) if metric == "accuracy" else picture.vertical(lines, falling=True)
