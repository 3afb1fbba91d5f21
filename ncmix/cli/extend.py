"""`ncmix extend`: a run that has ended, trained on to more epochs."""

from pathlib import Path

import click

from ncmix.spec import extended


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--epochs", type=int, required=True, metavar="N", help="Its new length, all epochs counted.")
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE",
              help="Of schedule, measure, features, device and what is beside the science.")  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: FOLDER-to-N]")
def extend(folder: Path, epochs: int, assignments: tuple[str, ...], out: Path | None) -> None:
    """Train the run in FOLDER on from its last checkpoint, into a folder of its own.

    The new folder holds a whole run: the metrics of all epochs, those of FOLDER included, and the new arrays. Its spec
    is a new one, with a key of its own, that names the run it extends.

    From the first new epoch on the new spec's schedule decides the learning rate. A multistep schedule goes on at the
    rate it had: milestones given as shares stay at the epochs they meant. A cosine has come to its end: say with --set
    how it goes on. schedule=cosine stretches it over all N epochs, so that the rate jumps up.

    \b
    Examples
      ncmix extend runs/first --epochs 500
      ncmix extend runs/first --epochs 500 --set schedule=cosine
      ncmix extend runs/first --epochs 500 --set measure.epochs='{every: 10}'
    """  # fmt: skip
    from ncmix.cli import training
    from ncmix.numerics import leave_a_core_free

    leave_a_core_free()
    spec = extended(training.spec_of(folder), epochs, assignments)
    training.extend(folder, spec, out or folder.with_name(f"{folder.name}-to-{epochs}"))
