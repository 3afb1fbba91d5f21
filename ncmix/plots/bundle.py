"""The file of plotly.js that the package `plotly` brings along. Nothing is ever fetched from elsewhere."""

import re
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from ncmix.plots.options import PlotError

_SHEET = re.compile(r'if\(!document\.getElementById\("([0-9a-f]{64})"\)\)')


@cache
def path() -> Path:
    """Where it lies. The package itself is not imported, which would take longer than drawing.

    Raises:
        PlotError: the package is not installed.
    """
    try:
        file = Path(str(distribution("plotly").locate_file("plotly/package_data/plotly.min.js")))
    except PackageNotFoundError:
        raise PlotError("HTML needs plotly.js, which is not here: pip install 'ncmix[service]'.") from None
    if not file.is_file():
        raise PlotError(f"HTML needs plotly.js, but the package plotly has no file {file}.")
    return file


@cache
def version() -> str:
    """The version of the package, for an address that changes when the file does."""
    path()
    return distribution("plotly").version


@cache
def sheets() -> tuple[str, ...]:
    """The ids of elements in whose presence it writes no style sheets of what it brings along (maps) into a page."""
    return tuple(sorted(set(_SHEET.findall(path().read_text(encoding="utf-8")))))


def inline() -> str:
    """An element that holds all of it, for a page that stands alone."""
    return f"<script>{path().read_text(encoding='utf-8')}</script>"


def linked(address: str) -> str:
    """An element that loads it from an address."""
    return f'<script src="{address}"></script>'
