"""Presets: every recipe is a list of valid, different experiments at each scale, and says where it is from."""

import re

import pytest

from ncmix import presets
from ncmix.spec import MultiStep

# science: one preset each, and the demonstration.
PUBLISHED = {
    "papyan-ce",
    "fisher-channels",
    "fisher-vit",
    "fisher-mse",
    "fisher-fixed-etf",
    "losses-equal",
    "zhang-wd",
    "openmixup-200",
    "optimizer-coupling",
    "minority-collapse",
    "digits-mixup",
}


def test_there_is_one_preset_for_each_published_recipe() -> None:
    assert set(presets.names()) == PUBLISHED


@pytest.mark.parametrize("scale", presets.SCALES)
@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_a_preset_is_a_list_of_different_experiments(name: str, scale: presets.Scale) -> None:
    preset = presets.load(name, scale)
    assert re.search(r"20\d\d", preset.paper)
    assert len(preset.outcome) > 20
    assert len({spec.key for spec in preset.specs}) == len(preset.specs) > 0
    assert len({spec.title for spec in preset.specs}) == len(preset.specs)


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_small_is_smaller(name: str) -> None:
    small = presets.load(name, "small").specs
    assert max(spec.epochs for spec in small) <= 150
    assert {spec.model.kind for spec in small} <= {"convnet", "vit"}


def test_the_recipe_of_papyan_changes_its_rate_at_thirds() -> None:
    spec = presets.load("papyan-ce").specs[0]
    assert isinstance(spec.schedule, MultiStep)
    assert [int(m * spec.epochs) for m in spec.schedule.milestones] == [116, 233]


def test_a_name_that_is_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(presets.PresetError, match=r"no preset 'papyan'; there are .*papyan-ce"):
        presets.load("papyan")
