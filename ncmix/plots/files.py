"""A picture as the bytes of a file of any format."""

from ncmix.plots import bundle, tidy
from ncmix.plots.options import FORMATS, THEMES, Format, PlotError, Size, Theme
from ncmix.plots.picture import Picture


def render(picture: Picture, kind: Format, theme: Theme, size: Size, library: str | None) -> bytes:
    """See ncmix.plots.render."""
    if theme not in THEMES:
        raise PlotError(f"{theme!r} is not a theme; allowed are {', '.join(THEMES)}.")
    match kind:
        case "csv":
            return tidy.to_csv(picture)
        case "json":
            return tidy.to_json(picture)
        case "html":
            from ncmix.plots import interactive  # noqa: PLC0415 - it loads matplotlib

            element = bundle.inline() if library is None else bundle.linked(library)
            return interactive.page(picture, theme, size, element)
        case "png" | "svg" | "pdf":
            from ncmix.plots import drawing, rendering  # noqa: PLC0415

            return rendering.render(lambda: drawing.draw(picture, theme, size), kind, size.dpi)
        case _:
            raise PlotError(f"{kind!r} is not a format; allowed are {', '.join(FORMATS)}.")
