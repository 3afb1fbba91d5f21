"""`ncmix train`: one experiment, here and now, without any service."""

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ncmix.cli.asked import asked, experiment_options


@click.command()
@experiment_options
@click.option("--run", type=int, default=1, show_default=True, metavar="N", help="The N-th experiment of the preset.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: runs/NAME-KEY]")
@click.option("--resume", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER",
              help="Go on with the interrupted run in this folder; goes with no other option.")  # fmt: skip
@click.pass_context
def train(context: click.Context, run: int, out: Path | None, resume: Path | None, **options: Any) -> None:
    """Train one experiment here, with no service, and write it to a folder.

    \b
    The folder gets
      metrics.csv       epoch, split, name, value, written as it is measured
      metrics.parquet   the same
      arrays/*.npz      features and classifier, the geometry probe
      checkpoints/*.pt  weights, optimizer, generators: for --resume, `ncmix
                        extend` and `torch.load`
      manifest.json     spec, versions, device, seed
      run.pkl           all of it in NumPy arrays and builtins, for any notebook

    \b
    Examples
      ncmix train --dataset digits --model mlp --epochs 50 --mix mixup --alpha 1
      ncmix train --dataset cifar10 --model resnet18 --epochs 500
      ncmix train --spec study.yaml --set optimizer.lr=0.1 --out runs/first
      ncmix train --resume runs/first
    """  # fmt: skip
    from ncmix.cli import training
    from ncmix.numerics import prepare_process

    prepare_process()
    if resume:
        _refuse_other_options(context)
        training.resume(resume)
        return
    (spec,) = asked(run, options)
    training.start(spec, out or Path("runs") / f"{spec.title.replace(' ', '-').replace('/', '-')}-{spec.key[:8]}")


def _refuse_other_options(context: click.Context) -> None:
    given = [n for n in context.params if context.get_parameter_source(n) is ParameterSource.COMMANDLINE]
    if given != ["resume"]:
        raise click.UsageError("--resume takes the experiment from its folder; it goes with no other option.")
