"""How values are put into words on the page."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup, escape

MISSING = "–"
_CODE = re.compile("`([^`]+)`")
_UNITS = ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "min"), (60, "min", 1, "s"))


def number(value: float | None) -> str:
    """Four significant digits; a dash for what is undefined or was not measured."""
    return MISSING if value is None else f"{value:.4g}"


def rough(value: float | None) -> str:
    """Two significant digits, as of a standard deviation."""
    return MISSING if value is None else f"{value:.2g}"


def share(value: float | None) -> str:
    """A share as a percentage."""
    return MISSING if value is None else f"{100 * value:.1f} %"


def duration(seconds: float | None) -> str:
    """Its two largest units: `8 s`, `3 min 20 s`, `2 h 5 min`, `4 d 1 h`."""
    if seconds is None:
        return MISSING
    whole = max(0, round(seconds))
    for size, unit, smaller, rest in _UNITS:
        if whole >= size:
            below = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {below} {rest}" if below else "")
    return f"{whole} s"


def ago(at: datetime) -> str:
    """How long ago, by its largest unit: `now`, `3 min`, `2 h`, `4 d`."""
    seconds = (datetime.now(UTC) - at).total_seconds()
    found = next((f"{int(seconds // size)} {unit}" for size, unit, _, _ in _UNITS if seconds >= size), "")
    return f"{found} ago" if found else "now"


def moment(at: datetime) -> str:
    """A moment to the second, in UTC."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} bytes"


def facts(values: dict[str, Any]) -> str:
    """Names and values in one line: `attempt 1, worker host:7`; of values that hold others the innermost."""
    return ", ".join(f"{name.replace('_', ' ')} {plain(value)}" for name, value in _innermost(values))


def _innermost(values: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _innermost(value)
        else:
            yield name, value


def coded(text: str) -> Markup:
    """Text in which `words` between backticks are code."""
    escaped = _CODE.sub(r"<code>\1</code>", str(escape(text)))
    return Markup(escaped)  # noqa: S704  # nosec B704


def plain(value: Any) -> str:
    """A value of a spec in one line."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
