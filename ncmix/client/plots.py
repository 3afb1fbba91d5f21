"""A plot as a notebook shows it and a file keeps it."""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from ncmix.client.errors import Json
from ncmix.client.transport import Transport

_SCRIPT = re.compile(r'<script src="([^"]+)"></script>')


@dataclass(frozen=True)
class Plot:
    """A picture that the service has drawn.

    Attributes:
        name: such as `nc`.
        format: png, svg, pdf or html; json and csv are the numbers drawn.
        content: the file; html stands alone, with all of plotly.js in it.
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
        # By its address it would be refused: the service lets no foreign page frame its own, and may ask for a key.
        page = html.escape(self.content.decode())
        return f'<iframe srcdoc="{page}" width="100%" height="600" style="border:0"></iframe>'


@dataclass(frozen=True)
class _Fetch:
    """Where a plot is, in any format."""

    transport: Transport
    place: str
    name: str
    options: Mapping[str, Any]

    def __call__(self, kind: str) -> Plot:
        response = self.transport.get(f"{self.place}/plots/{self.name}.{kind}", self.options)
        content = self._alone(response) if kind == "html" else response.content
        return Plot(self.name, kind, content, str(response.url), self)

    def _alone(self, response: httpx2.Response) -> bytes:
        """A page with the scripts in it that it would load from the service."""

        def whole(element: re.Match[str]) -> str:
            return f"<script>{self.transport.get(str(response.url.join(element[1]))).text}</script>"

        return _SCRIPT.sub(whole, response.text).encode()


def fetch(transport: Transport, place: str, name: str, kind: str, options: Mapping[str, Any]) -> Plot:
    """The plot of that name of an experiment or a comparison at `place`.

    Raises:
        ApiError: there is no such plot or format, or nothing to draw yet.
    """
    return _Fetch(transport, place, name, options)(kind)
