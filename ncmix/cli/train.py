"""`ncmix train`: one experiment, here and now, without any service."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ncmix import presets
from ncmix.spec import VOCABULARY, Spec, SpecError, assign, expand_shorthand, override, parse, read_yaml

# What an option sets in the spec.
_FIELDS = {
    "dataset": "dataset",
    "model": "model",
    "loss": "loss",
    "mix": "mix",
    "alpha": "mix.alpha",
    "optimizer": "optimizer",
    "lr": "optimizer.lr",
    "weight_decay": "optimizer.weight_decay",
    "schedule": "schedule",
    "epochs": "epochs",
    "batch_size": "batch_size",
    "seed": "seed",
    "precision": "precision",
    "device": "device",
    "name": "name",
}


def _choice(axis: str) -> click.Choice:
    return click.Choice(list(VOCABULARY[axis]))


@click.command()
@click.option(
    "--dataset", type=_choice("dataset"), help="What to train on. image_folder needs --set dataset.name=NAME."
)
@click.option("--model", type=_choice("model"), help="The network.")
@click.option("--loss", type=_choice("loss"), help="What is minimised.  [default: cross_entropy]")
@click.option("--mix", type=_choice("mix"), help="How examples are mixed.  [default: none]")
@click.option("--alpha", type=float, metavar="A", help="λ is drawn from Beta(A, A).  [default: the mix's]")
@click.option("--epochs", type=int, metavar="N", help="How long.  [default: 350]")
@click.option("--batch-size", type=int, metavar="N", help="Examples a step.  [default: 128]")
@click.option("--optimizer", type=_choice("optimizer"), help="How the weights move.  [default: sgd]")
@click.option("--lr", type=float, metavar="X", help="Learning rate.  [default: the optimizer's]")
@click.option("--weight-decay", type=float, metavar="X", help="Weight decay.  [default: the optimizer's]")
@click.option("--schedule", type=_choice("schedule"), help="The learning rate over the epochs.  [default: multistep]")
@click.option("--seed", type=int, metavar="N", help="Same spec and seed, same numbers.  [default: 0]")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Of training; measuring is fp32.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute.  [default: auto]")
@click.option(
    "--measure",
    metavar="WHEN",
    help="Epochs at which to measure: papyan, last, every:K, or a list such as 0,1,5,20 (0 is the untrained network)."
    "  [default: papyan]",
)
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Any field: optimizer.momentum=0.95.")
@click.option("--spec", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Start from a file.")
@click.option("--preset", type=click.Choice(presets.names()), help="Start from an experiment of a preset.")
@click.option("--scale", type=click.Choice(presets.SCALES), default="full", show_default=True, help="Of the preset.")
@click.option("--run", type=int, default=1, show_default=True, metavar="N", help="The N-th experiment of the preset.")
@click.option("--name", help="What to call it.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: runs/NAME-KEY]")
@click.option("--resume", type=click.Path(exists=True, file_okay=False, path_type=Path), metavar="FOLDER",
              help="Go on with the interrupted run in this folder; goes with no other option.")  # fmt: skip
@click.pass_context
def train(
    context: click.Context,
    measure: str | None,
    assignments: tuple[str, ...],
    file: Path | None,
    preset: str | None,
    out: Path | None,
    resume: Path | None,
    **options: Any,
) -> None:
    """Train one experiment here, with no service, and write it to a folder.

    \b
    The folder gets
      metrics.csv       epoch, split, name, value: one row a number, written as it is measured
      metrics.parquet   the same
      arrays/*.npz      features and classifier, the geometry probe
      checkpoints/*.pt  weights, optimizer, generators: `ncmix train --resume`, `ncmix extend`, `torch.load`
      manifest.json     spec, versions, device, seed
      run.pkl           all of it in NumPy arrays and builtins, for `ncmix plot` and for any notebook

    \b
    Examples
      ncmix train --dataset digits --model mlp --epochs 50 --mix mixup --alpha 1
      ncmix train --dataset cifar10 --model resnet18 --loss cross_entropy --epochs 500
      ncmix train --spec study.yaml --set optimizer.lr=0.1 --measure 0,1,5,20 --out runs/first
      ncmix train --resume runs/first
    """  # fmt: skip
    from ncmix.cli import training
    from ncmix.numerics import leave_a_core_free

    leave_a_core_free()
    if resume:
        _refuse_other_options(context)
        training.resume(resume)
        return
    spec = _spec(_base(file, preset, options["scale"], options["run"]), options, measure, assignments)
    training.start(spec, out or Path("runs") / f"{spec.title.replace(' ', '-').replace('/', '-')}-{spec.key[:8]}")


def _refuse_other_options(context: click.Context) -> None:
    given = [n for n in context.params if context.get_parameter_source(n) is ParameterSource.COMMANDLINE]
    if given != ["resume"]:
        raise click.UsageError("--resume takes the experiment from its folder; it goes with no other option.")


def _base(file: Path | None, preset: str | None, scale: presets.Scale, run: int) -> dict[str, Any]:
    if file and preset:
        raise click.UsageError("--spec and --preset both name a start; give one of them.")
    if preset:
        specs = presets.load(preset, scale).specs
        if not 1 <= run <= len(specs):
            raise click.UsageError(f"--run {run}: the preset {preset} has experiments 1 to {len(specs)}.")
        return specs[run - 1].model_dump(mode="json")
    data = read_yaml(file.read_text()) if file else {}
    if not isinstance(data, dict):
        raise SpecError(f"{file} holds {data!r}, which is not an object of fields such as dataset and model.")
    return data


def _spec(data: dict[str, Any], options: dict[str, Any], measure: str | None, assignments: tuple[str, ...]) -> Spec:
    for option, field in _FIELDS.items():
        if options[option] is not None:
            data = _set(data, field, options[option])
    if measure is not None:
        data = _set(data, "measure.epochs", _epochs(measure))
    return parse(override(data, assignments))


def _set(data: dict[str, Any], field: str, value: object) -> dict[str, Any]:
    """Set a field to a value that an option gave; a kind that is there already keeps its other fields."""
    kept = data.get(field)
    if field in VOCABULARY and kept is not None and expand_shorthand(kept).get("kind") == value:
        return data
    return assign(data, field, value)


def _epochs(when: str) -> object:
    """`--measure` as the spec has it: a rule, {every: k} or a list."""
    rule, _, step = when.partition(":")
    if rule == "every":
        return {"every": read_yaml(step)}
    return when if when in ("papyan", "last") else [read_yaml(word) for word in when.split(",")]
