"""One closed vocabulary: a name in the spec has its function, its row in the README, and nothing more."""

import re
from pathlib import Path

import pytest

from ncmix import augment, datasets, geometry, glossary, heads, losses, metrics, mix, models, optim
from ncmix.spec import VOCABULARY

README = (Path(__file__).parent.parent / "README.md").read_text()

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
