"""The form for a new experiment, made of the vocabulary, and what was written in it read as a spec."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import yaml

from ncmix import vocabulary
from ncmix.spec import SpecError, assign, read_yaml
from ncmix.vocabulary import FieldInfo, Schema

# One of some words, true or false, an object that is there or not, or what is written.
Widget = Literal["choice", "switch", "part", "text"]

# How other fields than parts are grouped. `extends` is in none: who goes on from a run asks at that run.
_GROUPS = {
    "Training": ("epochs", "batch_size", "seed", "precision", "deterministic", "device", "devices", "compile"),
    "Measuring": ("measure",),
    "Features kept": ("features",),
    "In the queue": ("name", "tags", "priority", "limits"),
}


@dataclass(frozen=True)
class Input:
    """One field: how it is asked for, and the words in it.

    Attributes:
        path: its dotted path in the spec.
        within: the path of the object that must be there for this field to count; empty if none.
        listed: it holds a list; words with commas between are one.
        plain: what is written, or between the commas, is text, whatever it looks like.
        usual: the words of its default.
    """

    path: str
    label: str
    description: str
    allowed: str
    required: bool
    widget: Widget
    choices: list[str]
    within: str
    listed: bool
    plain: bool
    usual: str
    value: str

    @property
    def name(self) -> str:
        """A word for ids: no dots."""
        return self.path.replace(".", "-")


@dataclass(frozen=True)
class Variant:
    """A kind of a part, with the fields it has."""

    kind: str
    description: str
    inputs: list[Input]


@dataclass(frozen=True)
class Axis:
    """A part with variants, and the one that is chosen."""

    name: str
    chosen: str
    usual: str
    variants: list[Variant]


@dataclass(frozen=True)
class Form:
    """All that can be filled in."""

    axes: list[Axis]
    groups: dict[str, list[Input]]


def form(spec: Mapping[str, Any]) -> Form:
    """The form with the values of a spec, which may lack anything."""
    words = vocabulary.read()
    groups = {
        title: [
            _input(path, info, _at(spec, path, info.default), words.fields)
            for path, info in words.fields.items()
            if path.partition(".")[0] in names and not _is_frame(info)
        ]
        for title, names in _GROUPS.items()
    }
    return Form([_axis(axis, kinds, spec) for axis, kinds in words.axes.items()], groups)


def _axis(axis: str, kinds: Mapping[str, vocabulary.Kind], spec: Mapping[str, Any]) -> Axis:
    default = vocabulary.read().spec["properties"][axis].get("default")
    usual = default["kind"] if default else ""
    given = spec.get(axis) or usual or next(iter(kinds))
    part = {"kind": given} if isinstance(given, str) else given
    variants = [
        Variant(
            kind,
            described.description,
            [
                _input(f"{axis}.{path}", info, _at(part if part["kind"] == kind else {}, path, info.default),
                       {f"{axis}.{p}": i for p, i in described.fields.items()})
                for path, info in described.fields.items()
            ],
        )
        for kind, described in kinds.items()
    ]  # fmt: skip
    return Axis(axis, part["kind"], usual, variants)


def _input(path: str, info: FieldInfo, value: Any, fields: Mapping[str, FieldInfo]) -> Input:
    schema, above = info.json_schema, path.rpartition(".")[0]
    widget, choices = _widget(schema, info)
    return Input(
        path=path,
        label=path.rpartition(".")[2],
        description=info.description,
        allowed=info.allowed if widget == "text" else "",
        required=info.required,
        widget=widget,
        choices=choices,
        within=above if above in fields and not _is_frame(fields[above]) else "",
        listed=any(
            each.get("type") == "array" for each in (schema, *schema.get("anyOf", ()), *schema.get("oneOf", ()))
        ),
        plain="string" in (schema.get("type"), schema.get("items", {}).get("type")) and "enum" not in schema,
        usual=_words(info.default, widget),
        value=_words(value, widget),
    )


def _widget(schema: Schema, info: FieldInfo) -> tuple[Widget, list[str]]:
    if schema.get("type") == "boolean":
        return "switch", []
    if info.allowed == "null or object":
        return "part", []
    if "enum" in schema:
        return "choice", [str(word) for word in schema["enum"]]
    return "text", []


def _is_frame(info: FieldInfo) -> bool:
    """An object that is always there: its fields are asked for, itself not."""
    return info.allowed == "object"


def _at(spec: Mapping[str, Any], path: str, default: Any) -> Any:
    value: Any = spec
    for name in path.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return default
        value = value[name]
    return value


def _words(value: Any, widget: Widget) -> str:
    """A value as it is written in the form."""
    if widget in ("switch", "part"):
        return "on" if value not in (None, False) else ""
    match value:
        case None:
            return ""
        case str():
            return value
        case list() if not any(isinstance(item, list | dict) for item in value):
            return ", ".join(map(str, value))
        case dict():
            return yaml.safe_dump(value, default_flow_style=True).strip()
        case _:
            return str(value)


def read(words: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What was written, by path, as a spec of what differs from the defaults; and, by path, what cannot be read."""
    wrong: dict[str, str] = {}
    data: dict[str, Any] = {axis.name: words[axis.name] for axis in _blank().axes if words.get(axis.name)}
    for asked in _differing(words):
        try:
            data = assign(data, asked.path, _value(asked, words[asked.path].strip()))
        except SpecError as error:
            wrong[asked.path] = str(error)
    usual = {axis.name: axis.usual for axis in _blank().axes}
    return {name: value for name, value in data.items() if value != usual.get(name)}, wrong


@cache
def _blank() -> Form:
    return form({})


def _differing(words: Mapping[str, str]) -> Iterator[Input]:
    """The fields of the chosen kinds in which something else than the default is written, objects before their own."""
    chosen = {axis.name: words.get(axis.name, axis.usual) for axis in _blank().axes}
    parts = [v.inputs for axis in _blank().axes for v in axis.variants if v.kind == chosen[axis.name]]
    for asked in (asked for inputs in (*parts, *_blank().groups.values()) for asked in inputs):
        counts = not asked.within or words.get(asked.within)
        if counts and asked.path in words and words[asked.path].strip() != asked.usual:
            yield asked


def _value(asked: Input, text: str) -> Any:
    """What the words in a field mean: YAML, as in `--set` of the command line, but lists need no brackets."""
    match asked.widget:
        case "switch":
            return bool(text)
        case "part":
            return {} if text else None
        case "choice":
            return text
        case "text":
            return _read_text(asked, text)


def _read_text(asked: Input, text: str) -> Any:
    if asked.plain:
        return [word.strip() for word in text.split(",") if word.strip()] if asked.listed else text
    if not text:
        return [] if asked.listed else None
    if asked.listed and "," in text and text[0] not in "[{":
        return read_yaml(f"[{text}]")
    value = read_yaml(text)
    only_lists = asked.allowed.startswith(("list", "["))
    return [value] if only_lists and not isinstance(value, list) else value
