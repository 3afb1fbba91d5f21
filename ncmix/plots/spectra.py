"""The plot `spectrum`: how widely features spread in each principal direction, between and within classes.

At an epoch, every direction; over the epochs the three that tell how far collapse is: the largest and the smallest
between classes, which become one length, and the largest within classes, which falls away from both.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ncmix.plots import groups, picture
from ncmix.plots.groups import Group, Points
from ncmix.plots.options import Options, PlotError
from ncmix.plots.picture import Array, Axis, Line, Panel, Picture
from ncmix.results import Run, Spectra

SPLITS = ("train", "test")

# Of more epochs than this a run's own are spread over them: every one is read from the record.
MOST_EPOCHS = 16

# What is drawn over the epochs: which roots, and which of them.
_FOLLOWED = {"within": ("within", 0), "least": ("between", -1), "between": ("between", 0)}


def describe(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.spectrum."""
    found = groups.grouped(runs, options.group_by)
    read = {id(run): groups.state(run, run.spectra, options.epoch, "spectrum") for g in found for run in g.runs}
    epochs = sorted({epoch for epoch, _ in read.values()})
    at = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
    told, before = {key: s for key, (_, s) in read.items()}, _before(found, options.epoch)
    wanted = SPLITS if options.split is None else (options.split,)
    panels = tuple(panel for split in wanted for panel in _panels(found, told, before, split, at))
    if not panels:
        raise PlotError(f"There is no spectrum of the split {wanted[0]!r}.")
    styles = {line.style for panel in panels for line in panel.lines}
    return Picture(
        "spectrum",
        groups.caption("Spectrum of features", options.group_by),
        groups.names(found),
        panels,
        2,
        "large",
        key=tuple(style for style in ("between", "least", "within") if style in styles),
        note=groups.note(found),
    )


def _before(found: Sequence[Group], until: int | None) -> dict[int, dict[int, Spectra]]:
    """What the runs of each group hold at the epochs that all of the group have, or some of these."""
    held: dict[int, dict[int, Spectra]] = {}
    for group in found:
        shared = sorted(set.intersection(*(set(run.spectra) for run in group.runs)))
        chosen = groups.spaced([epoch for epoch in shared if until is None or epoch <= until], MOST_EPOCHS)
        for run in group.runs:
            groups.fetch(run.spectra, chosen)
        held |= {id(run): {epoch: run.spectra[epoch] for epoch in chosen} for run in group.runs}
    return held


def _panels(
    found: Sequence[Group],
    told: Mapping[int, Spectra],
    before: Mapping[int, Mapping[int, Spectra]],
    split: str,
    at: str,
) -> Iterator[Panel]:
    """Of a split: every direction at the epoch, and some over the epochs, if there are several."""
    name = split.capitalize()
    if lines := _lines(found, told, split):
        meaning = f"std of features in each principal direction, {at}"
        yield Panel(name, meaning, _directions(lines), _vertical(lines), tuple(lines))
    if lines and (followed := _followed(found, before, split)):
        meaning = "largest std between classes, smallest, and largest within"
        yield Panel(
            f"{name} over the epochs", meaning, picture.epochs([followed]), _vertical(followed), tuple(followed)
        )


def _lines(found: Sequence[Group], read: Mapping[int, Spectra], split: str) -> list[Line]:
    made = [
        groups.line(group, place, style, lambda run, style=style: _numbered(_roots(read[id(run)], split, style)))
        for style in ("within", "between")
        for place, group in enumerate(found)
    ]
    return [line for line in made if line is not None]


def _followed(found: Sequence[Group], before: Mapping[int, Mapping[int, Spectra]], split: str) -> list[Line]:
    made = [
        groups.line(group, place, style, lambda run, style=style: _history(before[id(run)], split, style))
        for style in _FOLLOWED
        for place, group in enumerate(found)
    ]
    return [line for line in made if line is not None and len(line.x) > 1]


def _history(held: Mapping[int, Spectra], split: str, style: str) -> Points:
    roots_of, place = _FOLLOWED[style]
    each = {epoch: _roots(spectra, split, roots_of) for epoch, spectra in held.items()}
    there = {epoch: roots[place] for epoch, roots in each.items() if roots is not None and len(roots)}
    return np.array(list(there), np.float64), np.array(list(there.values()), np.float64)


def _roots(spectra: Spectra, split: str, style: str) -> Array | None:
    """Those that are defined, largest first; None of a split that was not measured."""
    if split not in spectra.splits:
        return None
    roots = (spectra.between if style == "between" else spectra.within)[:, spectra.splits.index(split)]
    return roots[np.isfinite(roots)].astype(np.float64)


def _numbered(roots: Array | None) -> Points | None:
    return None if roots is None else (np.arange(1, len(roots) + 1), roots)


def _directions(lines: Sequence[Line]) -> Axis:
    last = max(float(line.x[-1]) for line in lines)
    return Axis("direction", log=last > 30, low=0.9 if last > 30 else 1 - 0.02 * last, high=1.04 * last, whole=True)


def _vertical(lines: Sequence[Line]) -> Axis:
    """Logarithmic over six decades at most: what is below is rounding."""
    axis = picture.vertical(lines, falling=True)
    return Axis(axis.label, True, max(axis.low, 1e-6 * axis.high), axis.high) if axis.log else axis
