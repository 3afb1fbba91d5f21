"""The plot `channel`: how mixtures of two classes answer to λ, in their logits and in how far out they lie."""

from collections.abc import Callable, Sequence

import numpy as np

from ncmix.plots import groups, picture
from ncmix.plots.groups import Group
from ncmix.plots.options import Options, PlotError
from ncmix.plots.picture import Array, Axis, Line, Panel, Picture
from ncmix.results import Response, Run

_WHAT = "probe of the mixed geometry"


def describe(runs: Run | Sequence[Run], options: Options) -> Picture:
    """See ncmix.plots.channel."""
    found = groups.grouped(runs, options.group_by)
    read = {id(run): _response(run, options.epoch) for group in found for run in group.runs}
    epochs = sorted({epoch for epoch, _ in read.values()})
    at = f"epoch {epochs[0]}" if len(epochs) == 1 else f"epochs {epochs[0]} to {epochs[-1]}"
    told = {key: response for key, (_, response) in read.items()}
    gap = [*_of(found, told, "measured", _gap), *_of(found, told, "theory", _theory_gap)]
    ahead = [*_of(found, told, "measured", _ahead), *_of(found, told, "theory", _theory_ahead)]
    if not gap or not ahead:
        raise PlotError(f"The probes at {at} hold no finite numbers: training diverged, or a class is absent.")
    panels = (_gap_panel(gap, at), _ahead_panel(ahead, at))
    title = groups.caption("The channel between two classes", options.group_by)
    theory = ("theory",) if any(line.style == "theory" for line in (*gap, *ahead)) else ()
    key = ("measured", *theory, "identity", "convex")
    return Picture("channel", title, groups.names(found), panels, 2, "large", key=key, note=groups.note(found))


def _response(run: Run, epoch: int | None) -> tuple[int, Response]:
    at, probe = groups.state(run, run.probes, epoch, _WHAT)
    if probe.response is None:
        raise PlotError(f"The probe at epoch {at} of {run.title!r} was made before its answer to λ was kept.")
    return at, probe.response


def _gap_panel(lines: Sequence[Line], at: str) -> Panel:
    far = max(float(np.abs(line.x).max()) for line in lines)
    guide = Line(np.array([-far, far]), np.array([-far, far]), "identity")
    x = Axis("logit λ", low=-1.06 * far, high=1.06 * far)
    meaning = f"zᵢ − zⱼ of mixtures λxᵢ + (1 − λ)xⱼ, {at}"
    return Panel("Logits", meaning, x, picture.vertical([guide, *lines]), (guide, *lines))


def _ahead_panel(lines: Sequence[Line], at: str) -> Panel:
    guide = Line(np.array([0.0, 1.0]), np.array([1.0, 1.0]), "convex")
    meaning = f"features along the middle of two class means, over it, {at}"
    return Panel("Amplification", meaning, Axis("λ", low=-0.02, high=1.02), picture.vertical([guide, *lines]),
                 (guide, *lines))  # fmt: skip


def _of(
    found: Sequence[Group], told: dict[int, Response], style: str, points: Callable[[Response], groups.Points | None]
) -> list[Line]:
    made = [groups.line(group, place, style, lambda run: points(told[id(run)])) for place, group in enumerate(found)]
    return [line for line in made if line is not None and np.isfinite(line.y).any()]


def _inside(response: Response, values: Array) -> groups.Points:
    """Against logit λ, without the ends where that is infinite."""
    inside = (response.lam > 0) & (response.lam < 1)
    lam = response.lam[inside]
    return np.log(lam / (1 - lam)), values[inside]


def _gap(response: Response) -> groups.Points:
    return _inside(response, response.gap.mean(1))


def _theory_gap(response: Response) -> groups.Points | None:
    return None if response.theory_gap is None else _inside(response, response.theory_gap)


def _ahead(response: Response) -> groups.Points:
    return response.lam, response.ahead.mean(1)


def _theory_ahead(response: Response) -> groups.Points | None:
    return None if response.theory_ahead is None else (response.lam, response.theory_ahead.mean(1))
