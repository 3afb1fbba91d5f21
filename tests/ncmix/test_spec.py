"""The spec: what can be asked for, how a wrong wish is refused, and when two specs are the same experiment."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ncmix.spec import (
    PAPYAN,
    VOCABULARY,
    Every,
    Measure,
    Spec,
    SpecError,
    assign,
    class_sizes,
    override,
    parse,
    problems,
    read_yaml,
)

SMALL: dict[str, Any] = {"dataset": "digits", "model": "mlp", "epochs": 10}


def refusal(**fields: object) -> dict[str, str]:
    """What is said of a wrong spec: pointer -> sentence."""
    with pytest.raises(ValidationError) as caught:
        Spec.model_validate({**SMALL, **fields})
    return {p.pointer: p.message for p in problems(caught.value)}


def test_a_string_is_short_for_a_kind() -> None:
    assert parse({**SMALL, "mix": "mixup"}) == parse({**SMALL, "mix": {"kind": "mixup", "alpha": 1.0}})


def test_every_kind_of_every_axis_can_be_written_as_a_string() -> None:
    named = {"image_folder": "pets", "timm": "convnext_atto"}
    for axis, kinds in VOCABULARY.items():
        for kind in kinds:
            fields: dict[str, Any] = {axis: {"kind": kind, "name": named[kind]} if kind in named else kind}
            if kind == "gaussian":
                fields["model"] = "mlp"
            if kind == "dot_regression":
                fields["head"] = "etf"
            assert getattr(parse({**SMALL, **fields}), axis).kind == kind


def test_json_and_back_is_the_same_spec() -> None:
    spec = parse({**SMALL, "measure": {"epochs": [0, 1, 5], "geometry": {"classes": [3, 1, 4]}}, "tags": ["a", "b"]})
    assert Spec.model_validate_json(spec.model_dump_json()) == spec


@pytest.mark.parametrize(
    ("fields", "pointer", "words"),
    [
        ({"optimiser": "sgd"}, "/optimiser", ["no such field", "optimizer"]),
        ({"dataset": "cifr10"}, "/dataset", ["'cifr10'", "cifar10", "image_folder"]),
        ({"mix": {"kind": "none", "alpha": 1.0}}, "/mix/alpha", ["no such field", "kind"]),
        ({"mix": {"alpha": 1.0}}, "/mix", ["kind"]),
        ({"optimizer": {"kind": "sgd", "lr": float("inf")}}, "/optimizer/lr", ["inf", "finite"]),
        ({"optimizer": {"kind": "sgd", "lr": float("nan")}}, "/optimizer/lr", ["nan", "finite"]),
        ({"optimizer": {"kind": "sgd", "nesterov": True, "momentum": 0.0}}, "/optimizer", ["nesterov", "momentum"]),
        ({"epochs": -3}, "/epochs", ["-3", "greater than or equal to 1"]),
        ({"epochs": "5"}, "/epochs", ["'5'", "integer"]),
        ({"batch_size": 5000}, "/batch_size", ["5000", "2 to 1442"]),
        ({"batch_size": 64, "dataset": {"kind": "digits", "per_class": 3}}, "/batch_size", ["64", "2 to 30"]),
        ({"dataset": {"kind": "digits", "per_class": 999}}, "/dataset/per_class", ["999", "1 to 140"]),
        ({"measure": {"epochs": [1, 50]}}, "/measure/epochs", ["50", "past the end", "0 to 10"]),
        ({"measure": {"epochs": 3}}, "/measure/epochs", ["papyan", "{every: k}", "list"]),
        ({"measure": {"splits": ["val"]}}, "/measure/splits/0", ["'val'", "'train' or 'test'"]),
        ({"measure": {"splits": ["test", "test"]}}, "/measure/splits", ["twice"]),
        ({"measure": {"geometry": {"classes": [0, 1, 99]}}}, "/measure/geometry/classes", ["99", "0 to 9"]),
        ({"measure": {"geometry": {"classes": [0, 0, 1]}}}, "/measure/geometry/classes", ["different"]),
        ({"schedule": {"kind": "multistep", "milestones": [7.5]}}, "/schedule/milestones/0", ["7.5", "share"]),
        ({"schedule": {"kind": "multistep", "milestones": [10]}}, "/schedule/milestones", ["10", "1 to 9"]),
        ({"schedule": {"kind": "cosine", "warmup_epochs": 11}}, "/schedule/warmup_epochs", ["11", "0 to 10"]),
        ({"dataset": "gaussian", "model": "resnet18"}, "/model", ["resnet18", "vectors", "mlp"]),
        ({"dataset": "gaussian", "model": "vit"}, "/model", ["vit", "vectors", "mlp"]),
        ({"model": {"kind": "wide_resnet", "depth": 30}}, "/model/depth", ["30", "6", "28 and 34"]),
        ({"model": {"kind": "densenet", "depth": 99}}, "/model/depth", ["99", "94 and 100"]),
        ({"model": {"kind": "vit", "dim": 100, "heads": 3}}, "/model", ["dim 100", "heads", "3"]),
        ({"model": "timm"}, "/model/name", ["required"]),
        ({"model": {"kind": "timm", "name": "convnext_ato"}}, "/model/name", ["'convnext_ato'", "convnext_atto"]),
        ({"model": {"kind": "timm", "name": "resnet18.a1_in1k"}}, "/model/name", ["a1_in1k", "resnet18"]),
        ({"model": {"kind": "timm", "name": "hf-hub:me/mine"}}, "/model/name", ["hf-hub:me/mine", "list_models"]),
        (
            {"model": {"kind": "mlp", "hidden": [8]}, "head": "etf"},
            "/head",
            ["9 features", "10 classes", "8", "linear"],
        ),
        ({"head": {"kind": "normalized", "tau": 0.0}}, "/head/tau", ["0.0", "greater than 0"]),
        ({"loss": {"kind": "focal", "gamma": -1.0}}, "/loss/gamma", ["-1.0", "greater than or equal to 0"]),
        ({"mix": {"kind": "cutmix", "alpha": 0.0}}, "/mix/alpha", ["0.0", "greater than 0"]),
        ({"mix": {"kind": "label_only", "pairs": "near"}}, "/mix/pairs", ["'near'", "'same_class'"]),
        ({"loss": "supcon", "mix": "mixup"}, "/mix", ["mixup", "supcon", "two labels", "none"]),
        ({"loss": "supcon", "mix": "label_only"}, "/mix", ["label_only", "supcon", "none"]),
        ({"loss": {"kind": "dot_regression", "e_w": 4.0}, "head": "etf"}, "/loss/e_w", ["4.0", "1.0"]),
        ({"mix": "manifold_mixup", "model": {"kind": "timm", "name": "convnext_atto"}}, "/mix", ["timm", "any other"]),
        ({"loss": "dot_regression"}, "/head", ["linear", "dot_regression", "etf"]),
        ({"mix": "cutmix", "dataset": "gaussian"}, "/mix", ["cutmix", "gaussian", "vectors", "any other"]),
        ({"dataset": {"kind": "image_folder"}}, "/dataset/name", ["required"]),
        ({"dataset": {"kind": "image_folder", "name": "../etc"}}, "/dataset/name", ["../etc", "pattern"]),
    ],
)
def test_a_wrong_spec_is_refused_with_field_value_and_what_is_allowed(
    fields: dict[str, Any], pointer: str, words: list[str]
) -> None:
    said = refusal(**fields)
    assert list(said) == [pointer]
    assert all(word in said[pointer] for word in words), said


def test_mixing_within_needs_a_model_that_shows_its_stages() -> None:
    for kind in VOCABULARY["model"]:
        fields = {"model": {"kind": kind, "name": "convnext_atto"} if kind == "timm" else kind, "mix": "manifold_mixup"}
        if kind == "timm":
            assert kind in refusal(**fields)["/mix"]
        else:
            assert parse({**SMALL, **fields}).mix.kind == "manifold_mixup"


def test_every_problem_is_named_at_once() -> None:
    assert set(refusal(epochs=0, seed=-1, mix="cutmx")) == {"/epochs", "/seed", "/mix"}


def test_the_key_is_the_science_alone() -> None:
    spec = parse(SMALL)
    assert spec.key == parse({**SMALL, "name": "x", "tags": ["t"], "priority": 5, "limits": {"wall_hours": 1.0}}).key
    assert spec.key == parse({**SMALL, "optimizer": {"kind": "sgd", "lr": 0.0679}}).key
    assert spec.key != parse({**SMALL, "seed": 1}).key
    assert (
        parse({**SMALL, "optimizer": {"kind": "sgd", "lr": 1}}).key
        == parse({**SMALL, "optimizer": {"kind": "sgd", "lr": 1.0}}).key
    )


@given(st.integers(1, 5000))
def test_papyan_epochs_end_with_the_run_and_keep_the_published_ones(epochs: int) -> None:
    chosen = Measure().at(epochs)
    assert chosen[-1] == epochs
    assert list(chosen) == sorted(set(chosen))
    assert set(chosen[:-1]) >= {e for e in PAPYAN if e < epochs}


def test_measured_epochs_by_rule_and_by_list() -> None:
    assert Measure(epochs=Every(every=4)).at(10) == (0, 4, 8, 10)
    assert Measure(epochs="last").at(10) == (10,)
    assert Measure(epochs=(5, 0, 5)).at(10) == (0, 5)


def test_words_set_fields_and_keep_the_kind() -> None:
    data = override({**SMALL, "optimizer": "adamw"}, ["optimizer.lr=5e-4", "measure.epochs=[0, 1]", "mix.kind=mixup"])
    spec = parse(data)
    assert (spec.optimizer.kind, spec.optimizer.lr) == ("adamw", 5e-4)
    assert spec.mix.kind == "mixup"
    assert spec.measured_epochs == (0, 1)
    assert assign({}, "optimizer.lr", 0.1) == {"optimizer": {"kind": "sgd", "lr": 0.1}}


def test_words_that_set_nothing_are_sentences() -> None:
    with pytest.raises(SpecError, match="'optimizer' is not of the form field=value"):
        override(SMALL, ["optimizer"])
    with pytest.raises(SpecError, match=r"epochs\.x cannot be set: epochs is 10"):
        override(SMALL, ["epochs.x=1"])
    with pytest.raises(SpecError, match="not YAML"):
        read_yaml("{a: [")


def test_numbers_in_yaml_are_what_researchers_write() -> None:
    assert read_yaml("[5e-4, 1E3, -2e-1, 350, 0.1]") == [5e-4, 1e3, -0.2, 350, 0.1]


def test_class_sizes_of_imbalanced_data() -> None:
    step = parse({**SMALL, "dataset": {"kind": "cifar10", "imbalance": {"kind": "step", "ratio": 100}}}).dataset
    assert class_sizes(step, (5000,) * 10) == (5000,) * 5 + (50,) * 5
    curve = parse({**SMALL, "dataset": {"kind": "cifar10", "imbalance": {"kind": "exponential", "ratio": 10}}}).dataset
    sizes = class_sizes(curve, (5000,) * 10)
    assert (sizes[0], sizes[-1]) == (5000, 500)
    assert list(sizes) == sorted(sizes, reverse=True)


def test_the_json_schema_shows_short_and_long_form() -> None:
    schema = json.dumps(Spec.model_json_schema())
    assert "short for {kind: …}" in schema or "short for {kind: \\u2026}" in schema
    assert "label_smoothing" in schema


def test_a_run_is_named_after_its_timm_model() -> None:
    assert "convnext_atto" in parse({**SMALL, "model": {"kind": "timm", "name": "convnext_atto"}}).title
