"""A picture as a matplotlib Figure: a board of panels, their heads, one legend for all."""

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from ncmix.plots import heat, plane, scales, strokes, theme
from ncmix.plots.layout import BOARDS, Board, Heading
from ncmix.plots.naming import shortened
from ncmix.plots.options import Size, Theme
from ncmix.plots.picture import STYLES, HeatMap, Panel, Picture, Style

# Inches of a character of a panel's name, and of what stands below it.
_NAME, _MEANING = 0.083, 0.049


def draw(picture: Picture, name: Theme, size: Size) -> Figure:
    """See ncmix.plots.draw."""
    colours = theme.palette(name)
    with rc_context(theme.settings(colours)):
        return plane.draw(picture, colours, size) if _of_planes(picture) else _board(picture, name, colours, size)


def _of_planes(picture: Picture) -> bool:
    return picture.layout in ("plane", "grid")


def _board(picture: Picture, name: Theme, colours: theme.Palette, size: Size) -> Figure:
    board = BOARDS[picture.layout].fitted(len(picture.panels), picture.columns, _heading(picture), size)
    figure = theme.canvas(board.width, board.height, colours)
    run_colours = theme.run_colours(colours, name, len(picture.groups))
    _head(figure, picture, board, run_colours, colours)
    for number, (panel, place) in enumerate(zip(picture.panels, board.places(), strict=True)):
        axes = figure.add_axes(place)
        _panel(axes, panel, picture, board, board.room(number), run_colours, colours)
        # Panels above each other share their axis: it is numbered once, below the lowest.
        if panel.x == picture.panels[-1].x and picture.layout == "small" and number + board.columns < board.count:
            axes.xaxis.set_major_locator(NullLocator())
        elif panel.x.label:
            axes.set_xlabel(panel.x.label, color=colours.muted, fontsize=theme.LABEL, labelpad=2)
        if panel.y.label:
            axes.set_ylabel(panel.y.label, color=colours.muted, fontsize=theme.LABEL, labelpad=2)
    if picture.layout == "map":
        heat.key(figure, picture, board, colours)
    return figure


def _heading(picture: Picture) -> Heading:
    names = () if picture.layout == "map" and len(picture.groups) > 1 else picture.groups
    return Heading(picture.title, names, tuple(STYLES[style].meaning for style in picture.key), picture.note)


def _panel(
    axes: Axes,
    panel: Panel,
    picture: Picture,
    board: Board,
    room: float,
    run_colours: Sequence[str],
    colours: theme.Palette,
) -> None:
    """What belongs to one panel; `room` is the width of its second head line, in inches."""
    scales.apply(axes, panel)
    for mark in panel.marks:
        if isinstance(mark, HeatMap):
            heat.draw(axes, mark, colours)
    strokes.draw(axes, panel, run_colours, colours.muted)
    name, meaning = _words(panel, picture)
    name, meaning = shortened(name, int(board.layout.wide / _NAME)), shortened(meaning, int(room / _MEANING))
    theme.head(axes, name, meaning, colours)


def _words(panel: Panel, picture: Picture) -> tuple[str, str]:
    """What stands over a panel. Several heat maps have no legend: each is headed by its group."""
    if picture.layout != "map" or len(picture.groups) == 1:
        return panel.name, panel.meaning
    group = next(mark.group for mark in panel.marks if isinstance(mark, HeatMap))
    return picture.groups[group or 0], f"{panel.name}: {panel.meaning}"


def _head(figure: Figure, picture: Picture, board: Board, run_colours: Sequence[str], colours: theme.Palette) -> None:
    """The title, the names of runs, the key of styles and the note, line by line."""
    each = board.layout
    theme.title(figure, picture.title, each.left, colours)
    down = each.title - 0.02
    if len(picture.groups) == 1:
        theme.subtitle(
            figure, shortened(picture.groups[0], int((board.width - each.left) / 0.062)), each.left, down, colours
        )
        lines = 1
    elif picture.layout == "map":
        lines = 0
    else:
        _legend_of_groups(figure, picture.groups, run_colours, board, colours)
        lines = -(-len(picture.groups) // board.legend_columns)
    if picture.note:
        theme.subtitle(figure, picture.note, each.left, down + lines * each.legend_line, colours)
        lines += 1
    if picture.key:
        _legend_of_styles(figure, picture, board, each.title + lines * each.legend_line, colours)


def _legend_of_groups(
    figure: Figure, names: Sequence[str], run_colours: Sequence[str], board: Board, colours: theme.Palette
) -> None:
    handles = [Line2D([], [], color=colour, linewidth=2.2) for colour in run_colours]
    longest = int((board.width - board.layout.left - board.layout.right - board.layout.handle) / board.layout.character)
    shown = [shortened(name, longest) for name in names]
    legend = _legend(figure, handles, shown, board.legend_columns, colours)
    legend.set_loc("upper left")
    legend.set_bbox_to_anchor((board.layout.left / board.width, 1 - board.layout.title / board.height))
    theme.plain(*legend.get_texts())


def _legend_of_styles(figure: Figure, picture: Picture, board: Board, down: float, colours: theme.Palette) -> None:
    styles = [STYLES[name] for name in picture.key]
    dots = any(strokes.dotted(line) for panel in picture.panels for line in panel.lines)
    handles = [_handle(style, colours, dots=dots) for style in styles]
    legend = _legend(figure, handles, [style.meaning for style in styles], len(styles), colours)
    if board.crowded:
        legend.set_loc("upper left")
        legend.set_bbox_to_anchor((board.layout.left / board.width, 1 - down / board.height))
    else:
        legend.set_loc("upper right")
        legend.set_bbox_to_anchor((1 - 0.16 / board.width, 1 - 0.16 / board.height))


def _handle(style: Style, colours: theme.Palette, *, dots: bool) -> Line2D:
    colour = colours.muted if style.muted else colours.ink
    return Line2D(
        [],
        [],
        color=colour,
        linestyle=style.dashes,
        linewidth=style.width,
        marker=style.marker if dots else "",
        markersize=3.4,
        markerfacecolor=colours.paper if style.hollow else colour,
    )


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
