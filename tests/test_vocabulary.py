"""One closed vocabulary: a name has its function, its row in the README, its test and its description, no more."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncmix import (
    augment,
    datasets,
    geometry,
    glossary,
    heads,
    losses,
    metrics,
    mix,
    models,
    optim,
    plots,
    presets,
    vocabulary,
)
from ncmix.spec import VOCABULARY, Spec, parse

TESTS = Path(__file__).parent
README = (TESTS.parent / "README.md").read_text()

BUILDERS = {
    "dataset": datasets.DATASETS,
    "model": models.MODELS,
    "head": heads.HEADS,
    "loss": losses.LOSSES,
    "mix": mix.MIXERS,
    "optimizer": optim.OPTIMIZERS,
    "schedule": optim.SCHEDULES,
}


@pytest.mark.parametrize("axis", VOCABULARY)
def test_every_name_in_the_spec_has_a_builder_and_no_other(axis: str) -> None:
    assert set(BUILDERS[axis]) == set(VOCABULARY[axis])


@pytest.mark.parametrize("axis", VOCABULARY)
def test_the_readme_lists_every_name(axis: str) -> None:
    row = re.search(rf"^\| `{axis}` \|(.*)\|$", README, re.MULTILINE)
    assert row is not None
    assert re.findall(r"`(\w+)`", row[1]) == list(VOCABULARY[axis])


# Where the tests of each axis, and of what else has names, stand under tests/ncmix.
PROVEN = {
    "dataset": "datasets",
    "model": "models",
    "head": "test_heads.py",
    "loss": "test_losses.py",
    "mix": "test_mix.py",
    "optimizer": "test_optim.py",
    "schedule": "test_optim.py",
    "metrics": "metrics",
    "scalars": "test_geometry.py",
    "presets": "test_presets.py",
    "plots": "plots",
}
NAMED = {
    **{axis: {kind: part.__name__ for kind, part in kinds.items()} for axis, kinds in VOCABULARY.items()},
    "metrics": dict.fromkeys(metrics.METRICS, ""),
    "scalars": dict.fromkeys(geometry.SCALARS, ""),
    "presets": dict.fromkeys(presets.names(), ""),
    "plots": {name: plot.describe.__name__ for name, plot in plots.PLOTS.items()},
}


def words(where: Path) -> Iterator[str]:
    """Every name and every string of test code, but for imports and docstrings."""
    for file in where.rglob("*.py") if where.is_dir() else [where]:
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Name(id=word) | ast.Attribute(attr=word) | ast.Constant(value=str(word)):
                    yield word


def untested(names: dict[str, str], where: Path) -> list[str]:
    """The names that no test there writes: neither the name itself nor, if it is its only kind, the part it stands for.

    Lists made of the vocabulary itself prove nothing, and count for nothing.
    """
    written, parts = set(words(where)), list(names.values())
    return [
        name for name, part in names.items() if name not in written and (parts.count(part) > 1 or part not in written)
    ]


@pytest.mark.parametrize("group", NAMED)
def test_every_name_is_written_in_a_test_of_its_group(group: str) -> None:
    missing = untested(NAMED[group], TESTS / "ncmix" / PROVEN[group])
    assert not missing, f"no test in tests/ncmix/{PROVEN[group]} has a row for {', '.join(missing)}"


def test_a_name_without_a_test_is_found() -> None:
    names = {"focal": "Focal", "hinge": "Hinge", "vgg11_bn": "Vgg", "vgg99_bn": "Vgg"}
    assert untested(names, TESTS / "ncmix" / "test_losses.py") == ["hinge", "vgg11_bn", "vgg99_bn"]
    assert untested(names, TESTS / "ncmix" / "models") == ["focal", "hinge", "vgg99_bn"]


def test_the_readme_lists_every_preset() -> None:
    row = re.search(r"^Presets: (.*?): each", README, re.MULTILINE | re.DOTALL)
    assert row is not None
    assert re.findall(r"`([\w-]+)`", row[1]) == list(presets.names())


def test_every_augmentation_has_a_function() -> None:
    assert set(augment.AUGMENTS) == {"none", "crop_flip"}


# Ours, or nobody's: everything else that is called NC or mixed has a paper.
NO_SOURCE = {"nc1_condition", "accuracy", "ncc_accuracy", "nll", "loss", "lr"} | set(geometry.SCALARS) - {
    "mix_same_alignment"
}


def test_every_metric_says_what_it_is_and_who_defined_it() -> None:
    assert list(glossary.METRICS) == [*metrics.METRICS, *geometry.SCALARS, "loss", "lr"]
    for name, entry in glossary.METRICS.items():
        assert len(entry.definition) > 10, name
        assert bool(entry.source) == (name not in NO_SOURCE), name


def test_the_readme_names_every_neural_collapse_metric() -> None:
    for name in (*metrics.METRICS, *geometry.SCALARS):
        assert f"`{name}`" in README or f"`{name.split('_')[0]}_*`" in README or name in NO_SOURCE, name


def test_everything_is_described_under_its_own_name() -> None:
    described = vocabulary.read()
    assert {axis: list(kinds) for axis, kinds in described.axes.items()} == {a: list(k) for a, k in VOCABULARY.items()}
    assert list(described.metrics) == list(glossary.METRICS)
    assert list(described.presets) == list(presets.names())
    assert list(described.plots) == list(plots.PLOTS)
    tops = {path.partition(".")[0] for path in described.fields}
    assert tops | set(VOCABULARY) == set(Spec.model_fields)
    assert all(len(kind.description) > 10 for kinds in described.axes.values() for kind in kinds.values())
    assert [path for path, field in described.fields.items() if not field.description] == []


def test_what_a_field_may_hold_is_told_in_a_few_words() -> None:
    described = vocabulary.read()
    words = {path: field.allowed for path, field in described.fields.items()}
    assert words["epochs"] == "1 ≤ integer ≤ 1000000"
    assert words["seed"] == "0 ≤ integer < 2^63"
    assert words["measure.epochs"] == "papyan | last or {every: integer ≥ 1} or list of 1 or more (integer ≥ 0)"
    assert words["measure.geometry.mode"] == "eval | train"
    assert words["features.max_per_class"] == "null or integer ≥ 1"
    sgd = described.axes["optimizer"]["sgd"].fields
    assert (sgd["lr"].allowed, sgd["momentum"].allowed, sgd["nesterov"].default) == (
        "number > 0",
        "0 ≤ number < 1",
        False,
    )
    assert described.axes["dataset"]["cifar10"].fields["imbalance.ratio"].required
    assert described.axes["loss"]["focal"].source == "Lin et al. 2017"


@pytest.mark.parametrize("axis", VOCABULARY)
def test_defaults_that_are_shown_are_those_of_the_spec(axis: str) -> None:
    base = {"dataset": "digits", "model": "mlp"}
    for kind, entry in vocabulary.read().axes[axis].items():
        fields = {path: field for path, field in entry.fields.items() if "." not in path}
        if any(field.required for field in fields.values()) or kind in ("gaussian", "dot_regression"):
            continue
        written = {"kind": kind, **{path: field.default for path, field in fields.items()}}
        assert parse({**base, axis: written}) == parse({**base, axis: kind})
