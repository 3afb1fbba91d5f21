"""Published recipes and demonstrations by name: one YAML file each, a base spec, what varies, and a smaller scale."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import product
from typing import Any, Literal, get_args

from ncmix.errors import NcmixError
from ncmix.spec import Spec, assign, parse, read_yaml, shown

# full: as published. small: what shows the trend on two CPU cores in minutes.
Scale = Literal["full", "small"]
SCALES: tuple[Scale, ...] = get_args(Scale)


class PresetError(NcmixError, LookupError):
    """There is no preset of that name."""


@dataclass(frozen=True)
class Preset:
    """A recipe, and the experiments it consists of at a scale.

    Attributes:
        paper: where it was published.
        outcome: what came out there.
        ours: what of it is not published but chosen here; "" if nothing.
        small: what the small scale shows in how much time, and what it does not.
        scale: at which it was loaded.
        specs: the experiments, at that scale.
    """

    name: str
    title: str
    paper: str
    outcome: str
    ours: str
    small: str
    scale: Scale
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
    small = content["small"]
    base = _assigned(content["base"], small.get("base", {}) if scale == "small" else {})
    runs = _runs(small if scale == "small" and small.keys() & {"runs", "grid"} else content)
    texts = (content["title"], content["paper"], content["outcome"], content.get("ours", ""), small["shows"])
    return Preset(name, *texts, scale, tuple(_spec(name, base, run) for run in runs))


def _runs(content: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What varies: `runs` as they are listed, or every combination of the values in `grid`."""
    if "runs" in content:
        return content["runs"]
    return [dict(zip(content["grid"], values, strict=True)) for values in product(*content["grid"].values())]


def _spec(preset: str, base: Mapping[str, Any], run: Mapping[str, Any]) -> Spec:
    """The base, over it the run's fields; named after what the run varies."""
    name = " · ".join([preset, *(shown(path, value) for path, value in run.items())])
    return parse(_assigned({"name": name, **base}, run))


def _assigned(data: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(data)
    for path, value in fields.items():
        result = assign(result, path, value)
    return result
