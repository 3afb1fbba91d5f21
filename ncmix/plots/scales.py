"""Ranges, scales and ticks of axes, as matplotlib has them."""

from math import log10

from matplotlib.axes import Axes
from matplotlib.axis import Axis as Drawn
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ncmix.plots import theme, ticks
from ncmix.plots.naming import shortened
from ncmix.plots.picture import Axis, Panel

# "0.00002" as 2e-05: a power above the axis would lie under the panel's head.
PLAIN = FuncFormatter(lambda value, _: f"{value:g}".replace("-", "−"))
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
# Not as a formula, whose every number would be parsed and set.
POWER = FuncFormatter(lambda value, _: f"10{str(round(log10(value))).translate(_RAISED)}" if value > 0 else "")
SHARE = FuncFormatter(lambda value, _: f"{100 * value:g}%")

LONGEST_TICK = 12


def apply(axes: Axes, panel: Panel, colours: theme.Palette, *, x: bool = True, y: bool = True) -> None:
    """Both axes of a panel, with ticks or without."""
    if panel.x.log:
        axes.set_xscale("log", nonpositive="mask")
    if panel.y.log:
        axes.set_yscale("log", nonpositive="mask")
    axes.set_xlim(panel.x.low, panel.x.high)
    axes.set_ylim(panel.y.low, panel.y.high)
    for drawn, axis, ticked in ((axes.xaxis, panel.x, x), (axes.yaxis, panel.y, y)):
        if not ticked:
            ticks.none(drawn)
        elif axis.ticks:
            _names(axes, drawn, axis, colours)
        else:
            _numbers(axes, drawn, axis, colours)


def _names(axes: Axes, drawn: Drawn, axis: Axis, colours: theme.Palette) -> None:
    names = [(at, shortened(name, LONGEST_TICK)) for at, name in axis.ticks]
    upright = drawn is axes.xaxis and any(len(name) > 3 for _, name in axis.ticks)
    if not axis.label:
        ticks.named(axes, drawn, names, colours, upright=upright)
        return
    ticks.whole(drawn)
    drawn.set_ticks([at for at, _ in names], labels=[name for _, name in names])
    if upright:
        axes.tick_params(axis="x", labelrotation=90)


def _numbers(axes: Axes, drawn: Drawn, axis: Axis, colours: theme.Palette) -> None:
    if axis.log:
        _logarithmic(drawn, axis)
    else:
        steps = theme.STEPS if axis.whole or axis.share else (1, 2, 2.5, 5, 10)
        drawn.set_major_locator(MaxNLocator(axis.count, integer=axis.whole, steps=steps))
        drawn.set_major_formatter(SHARE if axis.share else PLAIN)
    if axis.label and drawn is axes.yaxis:
        ticks.whole(drawn)
    else:
        ticks.plain(axes, drawn, colours, grid=drawn is axes.yaxis, label=axis.label)


def _logarithmic(drawn: Drawn, axis: Axis) -> None:
    if axis.high / axis.low < 300:
        # Whole decades would leave one label or none: 0.3, 1, 3, 10 instead.
        drawn.set_major_locator(LogLocator(subs=(1.0, 3.0)))
        drawn.set_major_formatter(PLAIN)
    else:
        drawn.set_major_locator(LogLocator(numticks=5))
        drawn.set_major_formatter(POWER)
    if axis.share:
        drawn.set_major_formatter(SHARE)
    drawn.set_minor_locator(NullLocator())
