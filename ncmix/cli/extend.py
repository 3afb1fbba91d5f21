"""`ncmix extend`: a run that has ended, trained on to more epochs, here or at a service."""

import re
from pathlib import Path

import click

from ncmix.cli.remote import document, json_option, print_json, print_one, url_option
from ncmix.client import Client
from ncmix.spec import extended


@click.command()
@click.argument("run", metavar="FOLDER|ID")
@click.option("--epochs", type=int, required=True, metavar="N", help="Its new length, all epochs counted.")
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE",
              help="Of schedule, measure, features, device and what is beside the science.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: FOLDER-to-N]")
@url_option
@json_option
def extend(run: str, epochs: int, assignments: tuple[str, ...], out: Path | None, url: str, as_json: bool) -> None:
    """Train the run in FOLDER on from its last checkpoint, into a folder of its own; or, at a service, the experiment
    of an ID, as a new experiment.

    What comes of it is a whole run: it has the metrics of all epochs, those of before included, and the new arrays. Its
    spec is a new one, with a key of its own, that names the run it extends.

    From the first new epoch on the new spec's schedule decides the learning rate. A multistep schedule goes on at the
    rate it had: milestones given as shares stay at the epochs they meant. A cosine has come to its end: say with --set
    how it goes on. schedule=cosine stretches it over all N epochs, so that the rate jumps up.

    \b
    Examples
      ncmix extend runs/first --epochs 500
      ncmix extend 9f31c0 --epochs 500 --url http://gpu7:8000
      ncmix extend runs/first --epochs 500 --set schedule=cosine
      ncmix extend runs/first --epochs 500 --set measure.epochs='{every: 10}'
    """  # fmt: skip
    if Path(run).is_dir():
        _extend_here(Path(run), epochs, assignments, out)
        return
    if not re.fullmatch(r"[0-9a-f]{1,20}", run):
        raise click.UsageError(f"{run!r} is no folder, and no id of an experiment.")
    if out is not None:
        raise click.UsageError("--out is for runs in folders; an experiment of a service stays there.")
    with Client(url) as client:
        longer = client.experiment(run).extend(epochs, *assignments)
    if as_json:
        print_json(document([run], [longer.answer]))
    else:
        print_one(longer)


def _extend_here(folder: Path, epochs: int, assignments: tuple[str, ...], out: Path | None) -> None:
    from ncmix.cli import training
    from ncmix.numerics import prepare_process

    prepare_process()
    spec = extended(training.spec_of(folder), epochs, assignments)
    training.extend(folder, spec, out or folder.with_name(f"{folder.name}-to-{epochs}"))
