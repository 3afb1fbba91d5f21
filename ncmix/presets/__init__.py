"""Published recipes and demonstrations by name: one YAML file each, a base spec, what varies, and a smaller scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any, Literal, get_args

from ncmix.errors import NcmixError
from ncmix.spec import Spec, assign, parse, read_yaml

# full: as published. small: what shows the trend on two CPU cores in minutes.
Scale = Literal["full", "small"]
SCALES: tuple[Scale, ...] = get_args(Scale)


class PresetError(NcmixError, LookupError):
    """There is no preset of that name."""


@dataclass(frozen=True)
class Preset:
    """A recipe: where it was published, what came out there, and the experiments it consists of at a scale."""

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
def load(name: str, scale: Scale = "full") -> Preset:
    """The preset of that name at that scale.

    Raises:
        PresetError: there is none.
    """
    if name not in names():
        raise PresetError(f"There is no preset {name!r}; there are {', '.join(names())}.")
    content = read_yaml((files(__name__) / f"{name}.yaml").read_text(encoding="utf-8"))
    smaller = content["small"] if scale == "small" else {}
    specs = [_spec(name, content["base"], run, smaller) for run in _runs(content)]
    # What differs at full scale can be the same at a smaller one.
    different = {spec.key: spec for spec in reversed(specs)}
    return Preset(name, content["title"], content["paper"], content["outcome"], tuple(reversed(different.values())))


def _runs(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What varies: `runs` as they are listed, or every combination of the values in `grid`."""
    if "runs" in content:
        return content["runs"]
    return [dict(zip(content["grid"], values, strict=True)) for values in product(*content["grid"].values())]


def _spec(preset: str, base: Mapping[str, Any], run: Mapping[str, Any], smaller: Mapping[str, Any]) -> Spec:
    """The base, over it the run's fields, over both those of the smaller scale; named after what the run varies."""
    data = {"name": " · ".join([preset, *map(_shown, run.values())]), **base}
    for path, value in (*run.items(), *smaller.items()):
        data = assign(data, path, value)
    return parse(data)


def _shown(value: object) -> str:
    return " ".join(str(v) for v in value.values()) if isinstance(value, Mapping) else str(value)
