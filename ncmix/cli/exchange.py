"""`ncmix export` and `ncmix import`: experiments from one service to another."""

from pathlib import Path

import click

from ncmix.cli.remote import document, each, experiments, json_option, print_json, print_one, remote, url_option
from ncmix.client import Client, Experiment

_SUFFIXES = (".zip", ".pkl")
# A large file takes its time to be read in.
_IMPORT_SECONDS = 600.0


@click.command()
@experiments
@click.option(
    "-o", "--out", type=click.Path(path_type=Path),
    help="A .zip or .pkl, or a folder for several.  [default: ID.zip]",
)  # fmt: skip
@remote
def export(client: Client, words: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Write all that is on record of experiments into files.

    A .zip is a run directory with log and events, which `ncmix import` takes and `ncmix plot` draws once unpacked; a
    .pkl holds metrics and arrays for any Python that has NumPy.
    """
    target = out or Path()
    if not target.is_dir():
        if target.suffix not in _SUFFIXES:
            raise click.BadParameter(
                f"{target} ends in {target.suffix!r}; allowed are .zip and .pkl.", param_hint="--out"
            )
        if len(words) > 1:
            raise click.BadParameter(f"{target} is one file for {len(words)} experiments.", param_hint="--out")
    files: dict[str, Path] = {}

    def write(experiment: Experiment) -> Experiment:
        files[experiment.id] = experiment.export(target / f"{experiment.id}.zip" if target.is_dir() else target)
        return experiment

    done = each(client, words, write)
    if as_json:
        print_json(document(words, [{"id": each_id, "file": str(file)} for each_id, file in files.items()]))
    else:
        for file in files.values():
            click.echo(f"Written to {file}.")
    done.end()


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@url_option
@json_option
def import_(files: tuple[Path, ...], url: str, as_json: bool) -> None:
    """Put experiments on record as `ncmix export` wrote them elsewhere, under their own ids.

    Checkpoints do not travel: what was imported can be drawn, compared and retried, but not extended.
    """
    with Client(url, timeout=_IMPORT_SECONDS) as client:
        made = [client.import_file(file) for file in files]
    if as_json:
        print_json(document([str(file) for file in files], [experiment.answer for experiment in made]))
    else:
        for experiment in made:
            print_one(experiment)
        click.echo("Their checkpoints were left behind: they can be retried here, but not extended.", err=True)
