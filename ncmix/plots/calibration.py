"""The plot `reliability`: whether the network is right as often as it is sure (Guo et al. 2017, Fig. 1)."""

from collections.abc import Iterator, Sequence

import numpy as np

from ncmix.plots import groups
from ncmix.plots.groups import Group
from ncmix.plots.naming import labels
from ncmix.plots.options import Options, PlotError
from ncmix.plots.picture import Axis, Line, Panel, Picture
from ncmix.results import Run

_WHAT = "summary of confidences"
_SHARES = Axis("confidence", low=-0.02, high=1.02, share=True, count=6)
_BARE = "is trained with {loss}, which does not fit softmax of the logits: that is no probability to be calibrated"


def describe(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.reliability."""
    found = groups.grouped(runs, options.group_by)
    bare = [place for place, group in enumerate(found) if _bare(group, options.epoch)]
    # Who is left out keeps the place, and so every other its colour; if nobody is left, the first says why.
    drawn = [(place, group) for place, group in enumerate(found) if place not in bare or len(bare) == len(found)]
    split = options.split or _split([group for _, group in drawn])
    read = {place: _pooled(group, split, options.epoch) for place, group in drawn}
    epochs = sorted({epoch for at, _ in read.values() for epoch in at})
    at = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
    hits = [_hits(bins_M3, place, len(found[place].runs)) for place, (_, bins_M3) in read.items()]
    counts = [_counts(bins_M3, place, len(found[place].runs)) for place, (_, bins_M3) in read.items()]
    ideal = Line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), "calibrated")
    vertical = Axis("accuracy", low=-0.02, high=1.02, share=True, count=6)
    name = split.capitalize()
    panels = (
        Panel(f"{name}: accuracy", f"against mean confidence, in bins, {at}", _SHARES, vertical, (ideal, *hits)),
        Panel(f"{name}: samples", f"their share in each bin, {at}", _SHARES, _log_shares(counts), tuple(counts)),
    )
    note = ", ".join(_notes(found, len(bare)))
    title = groups.caption("Calibration", options.group_by)
    return Picture("reliability", title, groups.names(found), panels, 2, "large", key=("calibrated",), note=note)


def _bare(group: Group, epoch: int | None) -> bool:
    """Whether softmax of the logits is no probability for one of them."""
    told = (groups.state(run, run.summaries, epoch, _WHAT)[1] for run in group.runs)
    return any(summary.bins is None for summary in told)


def _notes(found: Sequence[Group], bare: int) -> Iterator[str]:
    if any(len(group.runs) > 1 for group in found):
        yield "samples of all runs pooled"
    if bare:
        yield f"{bare} of {len(found)} left out, whose logits give no probability"


def _split(found: Sequence[Group]) -> str:
    """Test, unless only train was measured."""
    for run in (run for group in found for run in group.runs):
        if (last := groups.at(run.summaries, None)) is not None:
            splits = run.summaries[last].splits
            return "test" if "test" in splits else splits[0]
    return "test"


def _pooled(group: Group, split: str, epoch: int | None) -> tuple[list[int], np.ndarray]:
    """Samples, confidence and hits by bin (M, 3) of all runs of a group, and their epochs."""
    epochs, total = [], np.zeros(1)
    for run in group.runs:
        at, summary = groups.state(run, run.summaries, epoch, _WHAT)
        if summary.bins is None:
            loss = run.spec.get("loss", {})
            kind = loss.get("kind", "another loss") if isinstance(loss, dict) else str(loss)
            raise PlotError(f"{labels([run])[0]!r} {_BARE.format(loss=kind)}.")
        if split not in summary.splits:
            raise PlotError(f"The split {split!r} was not measured; measured were {', '.join(summary.splits)}.")
        epochs.append(at)
        total = total + summary.bins[summary.splits.index(split)]
    return epochs, total


def _hits(bins_M3: np.ndarray, place: int, runs: int) -> Line:
    """Accuracy against mean confidence, in the bins that hold samples."""
    full_M3 = bins_M3[bins_M3[:, 0] > 0]
    return Line(full_M3[:, 1] / full_M3[:, 0], full_M3[:, 2] / full_M3[:, 0], "measured", place, runs=runs)


def _counts(bins_M3: np.ndarray, place: int, runs: int) -> Line:
    middle = (np.arange(len(bins_M3)) + 0.5) / len(bins_M3)
    count = bins_M3[:, 0]
    return Line(middle, np.where(count > 0, count / count.sum(), np.nan), "measured", place, runs=runs)


def _log_shares(counts: Sequence[Line]) -> Axis:
    low = min(float(np.nanmin(line.y)) for line in counts)
    return Axis("share of samples", log=True, low=low / 1.6, high=1.6)
