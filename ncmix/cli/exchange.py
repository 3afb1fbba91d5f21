"""`ncmix export` and `ncmix import`: an experiment from one service to another."""

from pathlib import Path

import click

_url = click.option(
    "--url", envvar="NCMIX_URL", default="http://127.0.0.1:8000", show_default=True, help="The service."
)


@click.command()
@click.argument("experiment")
@click.option(
    "-o", "--out", type=click.Path(dir_okay=False, path_type=Path), help="A .zip or .pkl; default: its id with .zip."
)
@_url
def export(experiment: str, out: Path | None, url: str) -> None:
    """Write all that is on record of an experiment into a file.

    A .zip is a run directory with log and events, which `ncmix import` takes and `ncmix plot` draws once unpacked;
    a .pkl holds its metrics and arrays for any Python that has NumPy.
    """
    from ncmix.client import Client

    file = out or Path(f"{experiment}.zip")
    if file.suffix not in (".zip", ".pkl"):
        raise click.BadParameter(f"{file} ends in {file.suffix!r}; allowed are .zip and .pkl.", param_hint="--out")
    with Client(url) as client:
        client.export(experiment, file)
    click.echo(f"Written to {file}.")


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_url
def import_(file: Path, url: str) -> None:
    """Put an experiment on record as `ncmix export` wrote it elsewhere, under its own id."""
    from ncmix.client import Client

    with Client(url, timeout=600.0) as client:
        experiment = client.import_file(file)
    click.echo(f"{experiment['id']}  {experiment['state']}  {experiment['title']}")
