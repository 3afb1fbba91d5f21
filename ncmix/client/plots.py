"""A plot as a notebook shows it and a file keeps it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ncmix.client.errors import Json
from ncmix.client.transport import Transport


@dataclass(frozen=True)
class Plot:
    """A picture that the service has drawn.

    Attributes:
        name: such as `nc`.
        format: png, svg, pdf or html; json and csv are the numbers drawn.
        content: the file.
        url: its address, which stays.
    """

    name: str
    format: str
    content: bytes = field(repr=False)
    url: str
    _fetch: "_Fetch" = field(repr=False, compare=False)

    def save(self, file: str | Path) -> Path:
        """Write it, in the format that the file's name ends in; gives the file."""
        path = Path(file)
        kind = path.suffix.removeprefix(".") or self.format
        path.write_bytes(self.content if kind == self.format else self._fetch(kind).content)
        return path

    def data(self) -> Json:
        """The numbers drawn."""
        return json.loads(self.content if self.format == "json" else self._fetch("json").content)

    def _repr_png_(self) -> bytes | None:
        return self.content if self.format == "png" else None

    def _repr_svg_(self) -> str | None:
        return self.content.decode() if self.format == "svg" else None

    def _repr_html_(self) -> str | None:
        if self.format != "html":
            return None
        return f'<iframe src="{self.url}" width="100%" height="600" style="border:0"></iframe>'


@dataclass(frozen=True)
class _Fetch:
    """Where a plot is, in any format."""

    transport: Transport
    place: str
    name: str
    options: Mapping[str, Any]

    def __call__(self, kind: str) -> Plot:
        response = self.transport.get(f"{self.place}/plots/{self.name}.{kind}", self.options)
        return Plot(self.name, kind, response.content, str(response.url), self)


def fetch(transport: Transport, place: str, name: str, kind: str, options: Mapping[str, Any]) -> Plot:
    """The plot of that name of an experiment or a comparison at `place`.

    Raises:
        ApiError: there is no such plot or format, or nothing to draw yet.
    """
    return _Fetch(transport, place, name, options)(kind)
