"""The options that say which experiment is meant: what `ncmix train` and `ncmix submit` share."""

from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import click

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


def _kind(axis: str, text: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """An option for the kind of an axis. Its kinds stand in the text: a list of choices is never wrapped."""
    kinds = list(VOCABULARY[axis])
    return click.option(f"--{axis}", type=click.Choice(kinds), metavar="KIND", help=f"{text} {', '.join(kinds)}.")


_OPTIONS = (
    _kind("dataset", "What to train on; image_folder needs --set dataset.name=NAME. One of"),
    _kind("model", "The network, one of"),
    _kind("loss", "What is minimised, cross_entropy unless it is one of"),
    _kind("mix", "How examples are mixed, none unless it is one of"),
    click.option("--alpha", type=float, metavar="A", help="λ is drawn from Beta(A, A).  [default: the mix's]"),
    click.option("--epochs", type=int, metavar="N", help="How long.  [default: 350]"),
    click.option("--batch-size", type=int, metavar="N", help="Examples a step.  [default: 128]"),
    _kind("optimizer", "How the weights move, sgd unless it is one of"),
    click.option("--lr", type=float, metavar="X", help="Learning rate.  [default: the optimizer's]"),
    click.option("--weight-decay", type=float, metavar="X", help="Weight decay.  [default: the optimizer's]"),
    _kind("schedule", "The learning rate over the epochs, multistep unless it is one of"),
    click.option("--seed", type=int, metavar="N", help="Same spec and seed, same numbers.  [default: 0]"),
    click.option("--precision", type=click.Choice(["fp32", "bf16"]), help="Of training; measuring is fp32."),
    click.option(
        "--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where to compute.  [default: auto]"
    ),
    click.option(
        "--measure",
        metavar="WHEN",
        help="Epochs at which to measure: papyan, last, every:K, or a list such as 0,1,5,20 (0 is the untrained "
        "network).  [default: papyan]",
    ),
    click.option(
        "--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="Any field: optimizer.momentum=0.95."
    ),
    click.option(
        "--spec", "file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Start from a file."
    ),
    click.option(
        "--preset", type=click.Choice(presets.names()), metavar="NAME", help="Start from a preset; `ncmix presets`."
    ),
    click.option("--scale", type=click.Choice(presets.SCALES), default="full", show_default=True, help="Its scale."),
    click.option("--name", help="What to call it."),
)  # fmt: skip


def experiment_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of an experiment; it hands them to `asked`."""
    return reduce(lambda decorated, option: option(decorated), reversed(_OPTIONS), command)


def asked(run: int | None, options: Mapping[str, Any]) -> list[Spec]:
    """The specs that the options ask for: one, or every one of a preset of which no `run` is chosen.

    Raises:
        UsageError: they contradict each other.
        SpecError: they make no spec.
    """
    return [_spec(base, options) for base in _bases(options["file"], options["preset"], options["scale"], run)]


def _bases(file: Path | None, preset: str | None, scale: presets.Scale, run: int | None) -> list[dict[str, Any]]:
    if file and preset:
        raise click.UsageError("--spec and --preset both name a start; give one of them.")
    if preset:
        return [spec.model_dump(mode="json") for spec in _of_preset(presets.load(preset, scale), run)]
    data = read_yaml(file.read_text()) if file else {}
    if not isinstance(data, dict):
        raise SpecError(f"{file} holds {data!r}, which is not an object of fields such as dataset and model.")
    return [data]


def _of_preset(preset: presets.Preset, run: int | None) -> Sequence[Spec]:
    if run is None:
        return preset.specs
    if not 1 <= run <= len(preset.specs):
        raise click.UsageError(f"--run {run}: the preset {preset.name} has experiments 1 to {len(preset.specs)}.")
    return [preset.specs[run - 1]]


def _spec(data: dict[str, Any], options: Mapping[str, Any]) -> Spec:
    for option, field in _FIELDS.items():
        if options[option] is not None:
            data = _set(data, field, options[option])
    if options["measure"] is not None:
        data = _set(data, "measure.epochs", _epochs(options["measure"]))
    return parse(override(data, options["assignments"]))


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
