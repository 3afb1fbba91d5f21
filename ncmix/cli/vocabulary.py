"""`ncmix vocabulary`: everything that a spec can say and every number that comes out, each with its meaning."""

import json
from collections.abc import Mapping
from itertools import groupby

import click
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ncmix.spec import VOCABULARY
from ncmix.terminal import out
from ncmix.vocabulary import FieldInfo, Kind, Vocabulary, read

SECTIONS = (*VOCABULARY, "fields", "metrics", "presets", "plots")


@click.command()
@click.argument("sections", nargs=-1, type=click.Choice(SECTIONS), metavar="[SECTION]...")
@click.option("--json", "as_json", is_flag=True, help="Print all of it as JSON, as the service's /vocabulary answers.")
def vocabulary(sections: tuple[str, ...], as_json: bool) -> None:
    """List everything a spec can say, and every metric with formula and source.

    \b
    Sections (default: all of them)
      dataset, model, head, loss, mix, optimizer, schedule
                  the kinds of each, with the fields they have
      fields      every other field of a spec, as --set names it
      metrics     every number that comes out
      presets     published recipes
      plots       what can be drawn
    """  # fmt: skip
    everything = read()
    if as_json:
        click.echo(json.dumps(everything.model_dump(mode="json"), indent=2, ensure_ascii=False))
        return
    for section in sections or SECTIONS:
        out.print(Text(f"\n{section}", style="bold"))
        _section(section, everything)


def _section(name: str, everything: Vocabulary) -> None:
    match name:
        case "fields":
            _fields(everything.fields, 2)
        case "metrics":
            out.print(Padding(Text(everything.letters, style="dim"), (0, 0, 0, 2), expand=False))
            for metric, entry in everything.metrics.items():
                _entry(metric, entry.definition, entry.source)
        case "presets":
            for preset, recipe in everything.presets.items():
                _entry(preset, f"{recipe.title}. {recipe.outcome}", recipe.paper)
        case "plots":
            for plot, meaning in everything.plots.items():
                _entry(plot, meaning)
        case axis:
            _kinds(everything.axes[axis])


def _kinds(kinds: Mapping[str, Kind]) -> None:
    """Kinds that one part describes stand together."""
    for kind, alike in groupby(kinds, key=lambda name: kinds[name]):
        _entry(", ".join(alike), kind.description)
        _fields(kind.fields, 6)


def _entry(name: str, meaning: str, source: str = "") -> None:
    out.print(Padding(Text(name, style="cyan"), (0, 0, 0, 2), expand=False))
    out.print(Padding(Text(meaning), (0, 0, 0, 4), expand=False))
    if source:
        out.print(Padding(Text(source, style="dim"), (0, 0, 0, 4), expand=False))


def _fields(fields: Mapping[str, FieldInfo], indent: int) -> None:
    """A line a field: what it may hold, its default; below, what it is for if the part does not say it."""
    if not fields:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style="cyan" if indent < 4 else "")
    table.add_column(overflow="fold")
    for name, field in fields.items():
        table.add_row(name, _described(field))
    out.print(Padding(table, (0, 0, 0, indent), expand=False))


def _described(field: FieldInfo) -> Text:
    text = Text(field.allowed)
    if field.required:
        text.append(", required", style="bold")
    elif not isinstance(field.default, Mapping):  # else the fields that follow have theirs
        text.append(f", default {_shown(field.default)}", style="dim")
    if field.description:
        text.append(f"\n{field.description}", style="dim")
    return text


def _shown(default: object) -> str:
    return json.dumps(default, ensure_ascii=False) if not isinstance(default, str) else default or "empty"
