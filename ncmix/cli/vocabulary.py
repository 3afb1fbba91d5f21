"""`ncmix vocabulary`: everything that a spec can say and every number that comes out, each with its meaning."""

import json
from itertools import groupby
from typing import Any

import click
from rich.padding import Padding
from rich.text import Text

from ncmix.cli.display import out
from ncmix.glossary import METRICS
from ncmix.spec import VOCABULARY, Part


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON: axes with kinds and their fields, and metrics.")
def vocabulary(as_json: bool) -> None:
    """List everything a spec can say, and every metric with formula and source."""
    axes = {axis: {kind: _described(part) for kind, part in kinds.items()} for axis, kinds in VOCABULARY.items()}
    metrics = {name: {"definition": m.definition, "source": m.source} for name, m in METRICS.items()}
    if as_json:
        click.echo(json.dumps({"axes": axes, "metrics": metrics}, indent=2, ensure_ascii=False))
        return
    for axis, kinds in axes.items():
        _heading(axis)
        # Kinds that are described by one part stand together.
        for described, alike in groupby(kinds, key=lambda kind: kinds[kind]):
            fields = ", ".join(f"{name}: {_shown(default)}" for name, default in described["fields"].items())
            _entry(", ".join(alike), described["description"], fields)
    _heading("metrics")
    for name, metric in metrics.items():
        _entry(name, metric["definition"], metric["source"])


def _described(part: type[Part]) -> dict[str, Any]:
    """The first sentence of a part, and its fields with their defaults; one without a default has to be given."""
    fields = {
        name: "required" if field.is_required() else json.loads(json.dumps(field.default, default=_plain))
        for name, field in part.model_fields.items()
        if name != "kind"
    }
    return {"description": " ".join((part.__doc__ or "").split()), "fields": fields}


def _plain(value: object) -> Any:
    return value.model_dump(mode="json") if isinstance(value, Part) else str(value)


def _shown(value: object) -> str:
    return "required" if value == "required" else json.dumps(value, ensure_ascii=False)


def _heading(text: str) -> None:
    out.print(Text(f"\n{text}", style="bold"))


def _entry(name: str, meaning: str, small: str) -> None:
    out.print(Padding(Text(name, style="cyan"), (0, 0, 0, 2)))
    out.print(Padding(Text(meaning), (0, 0, 0, 4)))
    if small:
        out.print(Padding(Text(small, style="dim"), (0, 0, 0, 4)))
