"""Presets: every recipe is a list of valid, different experiments at each scale, and says where it is from."""

import re

import pytest

from ncmix import optim, presets
from ncmix.spec import MultiStep, Sgd, Spec, class_sizes

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
def test_small_is_smaller_and_says_what_it_shows(name: str) -> None:
    small = presets.load(name, "small")
    assert max(spec.epochs for spec in small.specs) <= 150
    assert {spec.model.kind for spec in small.specs} <= {"convnet", "vit"}
    assert re.search(r"\b(second|minute)", small.small)


def test_small_runs_are_over_the_small_base() -> None:
    """What a run varies is never overwritten by what the scale changes."""
    for optimizer, spec in zip(
        ("sgd", "sgd", "adam", "adamw"), presets.load("optimizer-coupling", "small").specs, strict=True
    ):
        assert (spec.optimizer.kind, spec.dataset.kind, spec.epochs) == (optimizer, "digits", 150)


def test_the_smallest_minority_still_has_images() -> None:
    for scale in presets.SCALES:
        ratios = [
            spec.dataset.imbalance.ratio
            for spec in presets.load("minority-collapse", scale).specs
            if spec.dataset.imbalance
        ]
        assert ratios == sorted(set(ratios))
        for spec in presets.load("minority-collapse", scale).specs:
            available = (spec.dataset.per_class or 5000,) * 10
            assert min(class_sizes(spec.dataset, available)) >= 5


@pytest.mark.parametrize("decay", [0, 5e-4, 5e-3])
def test_the_heat_map_row_of_the_optimizers_is_the_recursions(decay: float) -> None:
    """s ← s − ηv, v ← βv + ωs over 469 steps an epoch, from ‖s‖ = 1.75: the published NC0 of the row."""
    (spec,) = [s for s in presets.load("optimizer-coupling").specs if s.optimizer == Sgd(lr=1e-3, weight_decay=decay)]
    published = {0: 1.75, 5e-4: 1.48, 5e-3: 0.31}[decay]
    assert nc0(spec, 1.75) == pytest.approx(published, abs=0.01)


def test_our_rate_of_sgd_ends_where_the_outcome_says() -> None:
    spec = presets.load("optimizer-coupling").specs[3]
    assert nc0(spec, 1.75) == pytest.approx(3e-4, rel=0.2)


def nc0(spec: Spec, start: float) -> float:
    """The sum of the classifier's rows after training by SGD with coupled decay, known without training."""
    assert isinstance(spec.optimizer, Sgd)
    s, v = start, 0.0
    for step in range(spec.epochs * 469):
        v = spec.optimizer.momentum * v + spec.optimizer.weight_decay * s
        s -= optim.rate(spec.schedule, spec.optimizer.lr, spec.epochs, 469, step) * v
    return s


def test_the_recipe_of_papyan_changes_its_rate_at_thirds() -> None:
    spec = presets.load("papyan-ce").specs[0]
    assert isinstance(spec.schedule, MultiStep)
    assert [int(m * spec.epochs) for m in spec.schedule.milestones] == [116, 233]


def test_a_name_that_is_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(presets.PresetError, match=r"no preset 'papyan'; there are .*papyan-ce"):
        presets.load("papyan")
