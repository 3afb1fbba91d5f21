"""A board of small panels over epochs: their places in inches, their heads, one legend for all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from ncmix.plots import series, theme
from ncmix.plots.options import Theme
from ncmix.results import Run


@dataclass(frozen=True)
class Layout:
    """Inches. Places are reckoned, not searched for: a layout engine takes longer than the drawing.

    The width of a legend's entry is reckoned too, from a mean character and what stands before it.
    """

    wide: float
    high: float
    left: float = 0.50
    right: float = 0.16
    gap: float = 0.50
    head: float = 0.50
    foot: float = 0.30
    bottom: float = 0.46
    title: float = 0.46
    legend_line: float = 0.19
    character: float = 0.066
    handle: float = 0.60

    def width(self, columns: int) -> float:
        """The width of a figure with that many panels side by side."""
        return max(self.left + columns * self.wide + (columns - 1) * self.gap + self.right, 4.8)

    def height(self, rows: int, legend_lines: int) -> float:
        """The height of a figure with that many panels one below the other."""
        return self.top(legend_lines) + rows * (self.head + self.high + self.foot) - self.foot + self.bottom

    def top(self, legend_lines: int) -> float:
        """What stands above the first panel's head."""
        return self.title + legend_lines * self.legend_line

    def legend_columns(self, labels: Sequence[str], width: float) -> int:
        """How many entries of a legend fit side by side."""
        entry = self.handle + self.character * max(len(label) for label in labels)
        return max(1, min(len(labels), int((width - self.left - self.right) / entry)))


SMALL = Layout(wide=2.1, high=1.4)
LARGE = Layout(wide=3.9, high=2.5)


@dataclass(frozen=True)
class Board:
    """A figure with its panels in reading order, `columns` a row, and the colour of each run."""

    figure: Figure
    axes: tuple[Axes, ...]
    columns: int
    colours: theme.Palette
    run_colours: tuple[str, ...]


def board(runs: Sequence[Run], name: Theme, layout: Layout, title: str, count: int, columns: int) -> Board:
    """A board of `count` empty panels under a title and the runs' names."""
    colours, labels = theme.palette(name), theme.labels(runs)
    run_colours = theme.run_colours(colours, name, len(runs))
    columns = min(columns, count)
    width = layout.width(columns)
    legend_columns = layout.legend_columns(labels, width)
    legend_lines = ceil(len(runs) / legend_columns)
    figure = theme.canvas(width, layout.height(ceil(count / columns), legend_lines), colours)
    theme.title(figure, title, layout.left, colours)
    if len(runs) == 1:
        theme.subtitle(figure, labels[0], layout.left, layout.title - 0.02, colours)
    else:
        _legend_of_runs(figure, labels, run_colours, layout, legend_columns, colours)
    axes = tuple(_places(figure, layout, legend_lines, count, columns, colours))
    return Board(figure, axes, columns, colours, tuple(run_colours))


def _places(
    figure: Figure, layout: Layout, legend_lines: int, count: int, columns: int, colours: theme.Palette
) -> Iterator[Axes]:
    width, height = figure.get_size_inches()
    for place in range(count):
        row, column = divmod(place, columns)
        x = layout.left + column * (layout.wide + layout.gap)
        y = height - layout.top(legend_lines) - row * (layout.head + layout.high + layout.foot)
        y -= layout.head + layout.high
        axes = figure.add_axes((x / width, y / height, layout.wide / width, layout.high / height))
        theme.dress(axes, colours)
        yield axes


def finish(made: Board, curves: Sequence[series.Curves], splits: Sequence[str]) -> Figure:
    """Set the panels' common x axis and name the splits that are drawn."""
    for place, panel in enumerate(made.axes):
        series.epochs(panel, curves)
        if place + made.columns >= len(made.axes):
            panel.set_xlabel("epoch", color=made.colours.muted, fontsize=theme.LABEL, labelpad=2)
    _legend_of_splits(made.figure, splits, series.sparse(curves), made.colours)
    return made.figure


def _legend_of_runs(
    figure: Figure,
    labels: Sequence[str],
    run_colours: Sequence[str],
    layout: Layout,
    columns: int,
    colours: theme.Palette,
) -> None:
    handles = [Line2D([], [], color=colour, linewidth=2.2) for colour in run_colours]
    width, height = figure.get_size_inches()
    legend = _legend(figure, handles, labels, columns, colours)
    legend.set_loc("upper left")
    legend.set_bbox_to_anchor((layout.left / width, 1 - layout.title / height))
    theme.plain(*legend.get_texts())


def _legend_of_splits(figure: Figure, splits: Sequence[str], dots: bool, colours: theme.Palette) -> None:
    styles = [series.STYLES[split] for split in splits]
    handles = [
        Line2D(
            [],
            [],
            color=colours.ink,
            linestyle=style.dashes,
            linewidth=style.width,
            marker=style.marker if dots else "",
            markersize=3.4,
            markerfacecolor=colours.paper if style.hollow else colours.ink,
        )
        for style in styles
    ]
    width, height = figure.get_size_inches()
    legend = _legend(figure, handles, [style.meaning for style in styles], len(splits), colours)
    legend.set_loc("upper right")
    legend.set_bbox_to_anchor((1 - 0.16 / width, 1 - 0.16 / height))


def _legend(
    figure: Figure, handles: Sequence[Line2D], labels: Sequence[str], columns: int, colours: theme.Palette
) -> Legend:
    return figure.legend(
        handles,
        labels,
        ncols=columns,
        fontsize=theme.LABEL,
        labelcolor=colours.ink,
        frameon=False,
        borderpad=0,
        borderaxespad=0,
        handlelength=2.4,
        columnspacing=1.6,
    )


def nothing(runs: Sequence[Run], what: str, until: int | None) -> str:
    """The sentence for runs that have none of `what` to draw."""
    names = ", ".join(repr(label) for label in theme.labels(runs))
    end = "" if until is None else f" up to epoch {until}"
    return f"There is no {what} to draw yet{end} of {names}."
