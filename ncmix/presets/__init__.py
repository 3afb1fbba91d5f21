"""Published recipes and demonstrations by name: one YAML file each, a base spec and what varies."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ncmix.errors import NcmixError
from ncmix.spec import Spec, assign, parse, read_yaml


class PresetError(NcmixError, LookupError):
    """There is no preset of that name."""


@dataclass(frozen=True)
class Preset:
    """A recipe: where it was published, what came out there, and the experiments it consists of."""

    name: str
    title: str
    paper: str
    outcome: str
    specs: tuple[Spec, ...]


@cache
def names() -> tuple[str, ...]:
    """The presets there are, in alphabetical order."""
    found = (entry.name for entry in files(__name__).iterdir())
    return tuple(sorted(name.removesuffix(".yaml") for name in found if name.endswith(".yaml")))


@cache
def load(name: str) -> Preset:
    """The preset of that name.

    Raises:
        PresetError: there is none.
    """
    if name not in names():
        raise PresetError(f"There is no preset {name!r}; there are {', '.join(names())}.")
    content = read_yaml((files(__name__) / f"{name}.yaml").read_text(encoding="utf-8"))
    specs = tuple(_spec(content["base"], run) for run in content["runs"])
    return Preset(name, content["title"], content["paper"], content["outcome"], specs)


def _spec(base: Mapping[str, Any], run: Mapping[str, Any]) -> Spec:
    """The base with the run's fields, written as dotted paths, put over it."""
    data = dict(base)
    for path, value in run.items():
        data = assign(data, path, value)
    return parse(data)
