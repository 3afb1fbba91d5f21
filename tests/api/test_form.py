"""The form is made of the vocabulary, and what is written in it means what the same words mean elsewhere."""

import shlex
from collections.abc import Iterator

import pytest
from click.testing import CliRunner

from api.web import form
from api.web.snippets import shortened, snippets
from ncmix import presets
from ncmix.cli import main
from ncmix.spec import VOCABULARY, Spec, parse, read_yaml

SPECS = {
    f"{name} {scale} {number}": spec
    for name in presets.names()
    for scale in presets.SCALES
    for number, spec in enumerate(presets.load(name, scale).specs[:6])
}
ODD = {
    "dataset": {"kind": "cifar10", "imbalance": {"kind": "step", "ratio": 10.0}, "per_class": 100},
    "model": {"kind": "timm", "name": "convnext_atto"},
    "head": {"kind": "normalized", "tau": 0.5},
    "optimizer": {"kind": "adamw", "betas": [0.8, 0.99]},
    "schedule": {"kind": "multistep", "milestones": []},
    "measure": {"epochs": {"every": 5}, "splits": ["train"], "geometry": None},
    "features": {"max_per_class": None},
    "epochs": 7,
    "name": "7",
    "tags": ["8", "a=b"],
    "compile": "off",
    "limits": {"stall_minutes": 3.5},
}


def words(spec: Spec) -> dict[str, str]:
    """What a browser sends of the form that is filled with a spec."""

    def fields() -> Iterator[tuple[str, str]]:
        made = form.form(spec.model_dump(mode="json"))
        for axis in made.axes:
            yield axis.name, axis.chosen
            chosen = next(v for v in axis.variants if v.kind == axis.chosen)
            yield from ((i.path, i.value) for i in chosen.inputs)
        for inputs in made.groups.values():
            yield from ((i.path, i.value) for i in inputs)

    return dict(fields())


@pytest.mark.parametrize("spec", [*SPECS.values(), parse(ODD)], ids=[*SPECS, "odd"])
def test_a_spec_goes_through_the_form_unchanged(spec: Spec):
    read, wrong = form.read(words(spec))
    assert not wrong
    assert parse(read) == spec
    assert parse(shortened(spec.model_dump(mode="json"))) == spec


def test_every_field_can_be_filled_in():
    made = form.form({})
    assert {axis.name: [v.kind for v in axis.variants] for axis in made.axes} == {
        axis: list(kinds) for axis, kinds in VOCABULARY.items()
    }
    asked = {i.path.partition(".")[0] for inputs in made.groups.values() for i in inputs}
    # What goes on from another run is asked for at that run.
    assert asked | {"extends"} | set(VOCABULARY) == set(Spec.model_fields)


def test_what_is_written_is_read_as_on_the_command_line():
    given = {"dataset": "digits", "model": "mlp", "optimizer": "sgd", "mix": "none", "measure.geometry": "on"}
    read, wrong = form.read({**given, "optimizer.lr": "5e-4", "measure.epochs": "0, 1,5", "model.hidden": "32"})
    assert not wrong
    assert read == {
        "dataset": "digits",
        "model": {"kind": "mlp", "hidden": [32]},
        "optimizer": {"kind": "sgd", "lr": 5e-4},
        "measure": {"epochs": [0, 1, 5]},
    }
    _, wrong = form.read({**given, "measure.epochs": "{every: "})
    assert "not YAML" in wrong["measure.epochs"]


@pytest.mark.parametrize("spec", [*SPECS.values(), parse({**ODD, "extends": None})], ids=[*SPECS, "odd"])
def test_what_is_copied_asks_for_the_same(spec: Spec, monkeypatch: pytest.MonkeyPatch):
    copied = {s.name: s.text for s in snippets(spec.model_dump(mode="json"), "http://here:1")}
    assert parse(read_yaml(copied["yaml"])) == spec
    command = shlex.split(copied["curl"])
    assert command[:4] == ["curl", "-X", "POST", "http://here:1/api/v1/experiments"]
    assert parse(read_yaml(command[-1])) == spec
    given: list[Spec] = []
    monkeypatch.setattr("ncmix.client.Client.submit", lambda _, spec, rerun: given.append(spec))
    monkeypatch.setattr("ncmix.cli.remote_submit.watched", lambda *_, **__: [])
    command = shlex.split(copied["cli"].replace("\\\n", " "))
    assert command[:5] == ["ncmix", "submit", "--url", "http://here:1", "--watch"]
    done = CliRunner().invoke(main, command[1:])
    assert (done.output, given) == ("", [spec])
    space: dict = {}
    exec(copied["python"].partition("with Client")[0], space)  # noqa: S102 - it is our own text
    assert parse(space["spec"]) == spec
