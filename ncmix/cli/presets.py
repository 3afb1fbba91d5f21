"""`ncmix presets`: the recipes that can be started by name."""

import click
from rich.table import Table

from ncmix import presets as recipes
from ncmix.cli.display import out


@click.command()
def presets() -> None:
    """List the presets: published recipes and demonstrations."""
    table = Table(show_edge=False, pad_edge=False)
    for column in ("preset", "experiments", "what it is", "published as"):
        table.add_column(column, overflow="fold")
    for name in recipes.names():
        preset = recipes.load(name)
        table.add_row(name, str(len(preset.specs)), preset.title, preset.paper)
    out.print(table)
