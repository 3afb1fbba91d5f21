"""`ncmix presets`: the recipes that can be started by name, and one of them whole."""

import json
from collections.abc import Iterator, Mapping, Sequence

import click
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ncmix import presets as recipes
from ncmix.terminal import out
from ncmix.vocabulary import PresetView, Recipe


@click.command()
@click.argument("name", required=False, type=click.Choice(recipes.names()), metavar="[NAME]")
@click.option("--scale", type=click.Choice(recipes.SCALES), default="full", show_default=True, help="Of the one NAME.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, as the service's /presets answers.")
def presets(name: str | None, scale: recipes.Scale, as_json: bool) -> None:
    """List the presets, published recipes and demonstrations, or show the one NAME whole with each --run N of it."""
    if as_json:
        shown = [PresetView.of(recipes.load(each, scale)) for each in ([name] if name else recipes.names())]
        views = [view.model_dump(mode="json") for view in shown]
        click.echo(json.dumps(views[0] if name else {"items": views}, indent=2, ensure_ascii=False))
    elif name:
        _whole(recipes.load(name, scale))
    else:
        _list()


def _list() -> None:
    for name in recipes.names():
        recipe = Recipe.of(name)
        counts = ", ".join(f"{count} at {scale} scale" for scale, count in recipe.experiments.items())
        out.print(Text.assemble((name, "cyan"), (f"  {counts}", "dim")))
        _indented(Text(recipe.title))
        _indented(Text(recipe.paper, style="dim"))
    out.print("\n[bold]ncmix presets NAME[/] shows one whole; ", end="")
    out.print("[bold]ncmix train --preset NAME --scale small --run N[/] trains its N-th experiment.")


def _whole(preset: recipes.Preset) -> None:
    """Its texts, every run by its number with what is its own, and what all runs have."""
    out.print(Text(preset.title, style="bold"))
    texts = (
        ("paper", preset.paper),
        ("published", preset.outcome),
        ("ours", preset.ours),
        ("small scale", preset.small),
    )
    _rows([(label, text) for label, text in texts if text], "dim")
    of_each = [dict(_flat(spec.model_dump(mode="json", exclude={"name"}))) for spec in preset.specs]
    shared = {path: value for path, value in of_each[0].items() if all(path in f and f[path] == value for f in of_each)}
    out.print(Text(f"\nExperiments at {preset.scale} scale", style="bold"))
    for number, (spec, fields) in enumerate(zip(preset.specs, of_each, strict=True), 1):
        out.print(Text.assemble((f"--run {number}", "cyan"), f"  {spec.title}"))
        own = "  ".join(f"{path}={value}" for path, value in fields.items() if path not in shared)
        _indented(Text(own, style="dim"), 4)
    out.print(Text("\nIn all of them", style="bold"))
    _rows(list(shared.items()))


def _flat(data: Mapping[str, object], before: str = "") -> Iterator[tuple[str, str]]:
    """Every field by its dotted path, as --set names it, and its value as YAML has it."""
    for name, value in data.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", json.dumps(value, ensure_ascii=False).strip('"')


def _rows(rows: Sequence[tuple[str, str]], style: str = "") -> None:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True, style=style)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, Text(value))
    _indented(table)


def _indented(what: Table | Text, indent: int = 2) -> None:
    out.print(Padding(what, (0, 0, 0, indent), expand=False))
