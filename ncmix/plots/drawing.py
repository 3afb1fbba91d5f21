"""A picture as a matplotlib Figure: a board of panels, their heads, one legend for all."""

from collections.abc import Sequence

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ncmix.plots import heat, plane, scales, strokes, theme, ticks
from ncmix.plots.layout import BOARDS, Board, Heading, Place
from ncmix.plots.legends import Corner, Legend
from ncmix.plots.naming import apart, shortened, words
from ncmix.plots.options import Size, Theme
from ncmix.plots.picture import STYLES, HeatMap, Panel, Picture, Style
from ncmix.plots.thinning import thinned

# Inches of a character of a panel's name, of what stands below it, and of what stands below the title.
_NAME, _MEANING, _SUBTITLE = 0.083, 0.049, 0.062


def draw(picture: Picture, name: Theme, size: Size) -> Figure:
    """See ncmix.plots.draw."""
    colours = theme.palette(name)
    with rc_context(theme.settings(colours)):
        if picture.of_planes:
            return plane.draw(thinned(picture), colours, size)
        return _board(picture, name, colours, size)


def _board(picture: Picture, name: Theme, colours: theme.Palette, size: Size) -> Figure:
    shared, names = apart(picture.groups)
    board = BOARDS[picture.layout].fitted(
        len(picture.panels), picture.columns, _heading(picture, shared, tuple(names)), size
    )
    figure = theme.canvas(board.width, board.height, colours)
    run_colours = theme.run_colours(colours, name, len(picture.groups))
    _head(figure, picture, board, shared, names, run_colours, colours)
    sheet = ticks.sheet(figure) if picture.layout == "maps" else None
    for number, (panel, place) in enumerate(zip(picture.panels, board.places(), strict=True)):
        head, meaning = words(panel, picture, names)
        fits, room = int(board.layout.wide / _NAME), int(board.room(number) / _MEANING)
        said = shortened(head, fits), shortened(meaning, room)
        x, y = _ticked(picture, board, number)
        if sheet is not None and not x and not y:
            _inlay(sheet, panel, place, said, colours)
        else:
            axes = figure.add_axes(place, axes_class=ticks.Bare)
            _axes(axes, panel, colours, x=x, y=y)
            _marks(axes, panel, picture, run_colours, colours)
            theme.head(axes, *said, colours)
    if picture.of_maps:
        heat.key(figure, picture, board, colours)
    return figure


def _inlay(sheet: Axes, panel: Panel, place: Place, said: tuple[str, str], colours: theme.Palette) -> None:
    """A map without ticks on the sheet of all of them: axes of its own take longer than all that is in them."""
    across, up = sheet.get_xlim()[1], sheet.get_ylim()[1]
    left, bottom, wide, high = place[0] * across, place[1] * up, place[2] * across, place[3] * up
    for mark in panel.marks:
        if isinstance(mark, HeatMap):
            heat.lay(sheet, mark, (left, left + wide, bottom, bottom + high), colours)
    theme.head_at(sheet, left, bottom + high, *said, colours)


def _heading(picture: Picture, shared: str, names: tuple[str, ...]) -> Heading:
    listed = () if picture.of_maps and len(names) > 1 else names
    return Heading(picture.title, shared, listed, tuple(STYLES[style].meaning for style in picture.key), picture.note)


def _axes(axes: Axes, panel: Panel, colours: theme.Palette, *, x: bool, y: bool) -> None:
    """Ranges; ticks and labels where they are wanted."""
    scales.apply(axes, panel, colours, x=x, y=y)
    if x and panel.x.label:
        axes.set_xlabel(panel.x.label, color=colours.muted, fontsize=theme.LABEL, labelpad=2)
    if y and panel.y.label:
        axes.set_ylabel(panel.y.label, color=colours.muted, fontsize=theme.LABEL, labelpad=2)


def _ticked(picture: Picture, board: Board, number: int) -> tuple[bool, bool]:
    """Whether the axes of a panel have ticks. Panels above each other share an axis: the lowest has them.

    So do small maps beside each other.
    """
    below = picture.layout in ("small", "maps") and picture.panels[number].x == picture.panels[-1].x
    x = not (below and number + board.columns < board.count)
    return x, picture.layout != "maps" or number % board.columns == 0


def _marks(axes: Axes, panel: Panel, picture: Picture, run_colours: Sequence[str], colours: theme.Palette) -> None:
    for mark in panel.marks:
        if isinstance(mark, HeatMap):
            heat.draw(axes, mark, colours, small=picture.layout == "maps")
    strokes.draw(axes, panel, run_colours, colours.muted)


def _head(
    figure: Figure,
    picture: Picture,
    board: Board,
    shared: str,
    names: Sequence[str],
    run_colours: Sequence[str],
    colours: theme.Palette,
) -> None:
    """The title, the names of runs below what they share, the note and the key of styles, line by line."""
    each = board.layout
    theme.title(figure, picture.title, each.left, colours)
    fits, lines = int((board.width - each.left) / _SUBTITLE), 0
    for said in (shared, names[0] if len(names) == 1 else ""):
        if said:
            down = each.title - 0.02 + lines * each.legend_line
            theme.subtitle(figure, shortened(said, fits), each.left, down, colours)
            lines += 1
    if len(names) > 1 and not picture.of_maps:
        _legend_of_groups(figure, names, run_colours, board, each.title + lines * each.legend_line, colours)
        lines += -(-len(names) // board.legend_columns)
    if picture.note:
        theme.subtitle(figure, picture.note, each.left, each.title - 0.02 + lines * each.legend_line, colours)
        lines += 1
    if picture.key:
        _legend_of_styles(figure, picture, board, each.title + lines * each.legend_line, colours)


def _legend_of_groups(
    figure: Figure, names: Sequence[str], run_colours: Sequence[str], board: Board, down: float, colours: theme.Palette
) -> None:
    handles = [Line2D([], [], color=colour, linewidth=2.2) for colour in run_colours]
    longest = int((board.width - board.layout.left - board.layout.right - board.layout.handle) / board.layout.character)
    shown = [shortened(name, longest) for name in names]
    Legend(figure, handles, shown, board.legend_columns, ("left", board.layout.left, down), colours.ink)


def _legend_of_styles(figure: Figure, picture: Picture, board: Board, down: float, colours: theme.Palette) -> None:
    styles = [STYLES[name] for name in picture.key]
    dots = any(strokes.dotted(line) for panel in picture.panels for line in panel.lines)
    handles = [_handle(style, colours, dots=dots) for style in styles]
    corner: Corner = ("left", board.layout.left, down) if board.crowded else ("right", 0.16, 0.16)
    Legend(figure, handles, [style.meaning for style in styles], len(styles), corner, colours.ink)


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
