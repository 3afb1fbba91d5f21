"""The plot `spectrum`: how widely features spread in each principal direction, between and within classes."""

from collections.abc import Sequence

import numpy as np

from ncmix.plots import groups, picture
from ncmix.plots.groups import Group
from ncmix.plots.options import Options, PlotError
from ncmix.plots.picture import Axis, Line, Panel, Picture
from ncmix.results import Run, Spectra

SPLITS = ("train", "test")


def describe(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.spectrum."""
    found = groups.grouped(runs, options.group_by)
    read = {id(run): groups.state(run, run.spectra, options.epoch, "spectrum") for g in found for run in g.runs}
    wanted = SPLITS if options.split is None else (options.split,)
    drawn = {split: _lines(found, {key: s for key, (_, s) in read.items()}, split) for split in wanted}
    drawn = {split: lines for split, lines in drawn.items() if lines}
    if not drawn:
        raise PlotError(f"There is no spectrum of the split {wanted[0]!r}.")
    epochs = sorted({epoch for epoch, _ in read.values()})
    at = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
    panels = [
        Panel(split.capitalize(), f"std of features in each principal direction, {at}", _directions(lines),
              _vertical(lines), tuple(lines))
        for split, lines in drawn.items()
    ]  # fmt: skip
    return Picture(
        "spectrum",
        groups.caption("Spectrum of features", options.group_by),
        groups.names(found),
        tuple(panels),
        2,
        "large",
        key=("between", "within"),
        note=groups.note(found),
    )


def _lines(found: Sequence[Group], read: dict[int, Spectra], split: str) -> list[Line]:
    made = [
        groups.line(group, place, style, lambda run, style=style: _roots(read[id(run)], split, style))
        for style in ("within", "between")
        for place, group in enumerate(found)
    ]
    return [line for line in made if line is not None]


def _roots(spectra: Spectra, split: str, style: str) -> groups.Points | None:
    if split not in spectra.splits:
        return None
    roots = (spectra.between if style == "between" else spectra.within)[:, spectra.splits.index(split)]
    roots = roots[np.isfinite(roots)]
    return np.arange(1, len(roots) + 1), roots


def _directions(lines: Sequence[Line]) -> Axis:
    last = max(float(line.x[-1]) for line in lines)
    return Axis("direction", log=last > 30, low=0.9 if last > 30 else 1 - 0.02 * last, high=1.04 * last, whole=True)


def _vertical(lines: Sequence[Line]) -> Axis:
    """Logarithmic over six decades at most: what is below is rounding."""
    axis = picture.vertical(lines, falling=True)
    return Axis(axis.label, True, max(axis.low, 1e-6 * axis.high), axis.high) if axis.log else axis
