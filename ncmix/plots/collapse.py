"""The plot `nc`: every neural-collapse metric over the epochs, one small panel each, in the order NC0 to NC4, then what
of it only unequal classes have."""

from collections.abc import Sequence
from dataclasses import dataclass

from ncmix.plots import groups, picture, series
from ncmix.plots.naming import nothing
from ncmix.plots.options import Options, PlotError
from ncmix.plots.picture import Line, Panel, Picture
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
    "minority_cosine": Drawn("mean cosine between minority classifiers", classifier_only=True),
}

SPLITS = ("train", "test")
COLUMNS = 4


def describe(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.nc."""
    found = groups.grouped(runs, options.group_by)
    drawn = {metric: _lines(found, metric, options.epoch) for metric in METRICS}
    drawn = {metric: lines for metric, lines in drawn.items() if lines}
    if not drawn:
        raise PlotError(nothing(groups.as_runs(runs), "neural-collapse metric", options.epoch))
    x = picture.epochs(list(drawn.values()))
    panels = [
        Panel(
            metric,
            METRICS[metric].meaning,
            x,
            picture.vertical(lines, falling=METRICS[metric].falling, share=METRICS[metric].share),
            tuple(lines),
        )
        for metric, lines in drawn.items()
    ]
    styles = {line.style for lines in drawn.values() for line in lines}
    return Picture(
        "nc",
        groups.caption("Neural collapse", options.group_by),
        groups.names(found),
        tuple(panels),
        COLUMNS,
        "small",
        key=tuple(split for split in SPLITS if split in styles),
        note=", ".join(filter(None, (groups.note(found), series.thinned(found)))),
    )


def _lines(found: Sequence[groups.Group], metric: str, until: int | None) -> list[Line]:
    """By run, its train below its test; of the classifier alone the first split that there is."""
    lines = series.lines(found, metric, SPLITS, until)
    lines.sort(key=lambda line: (line.group, SPLITS.index(line.style)))
    if METRICS[metric].classifier_only:
        return [line for i, line in enumerate(lines) if i == 0 or lines[i - 1].group != line.group]
    return lines
