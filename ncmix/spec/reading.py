"""How a spec is read from YAML, JSON and `field=value` words, and how what is wrong with it is said."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import UnionType
from typing import Any, Union, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ncmix.errors import NcmixError
from ncmix.spec.experiment import Spec
from ncmix.spec.parts import Part, expand_shorthand


class SpecError(NcmixError, ValueError):
    """What was written is not a spec; the message is a sentence."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a spec: a JSON Pointer to the field and a sentence with the value and what is allowed."""

    pointer: str
    message: str


class _Loader(yaml.SafeLoader):
    """YAML in which `5e-4` is a number, as YAML 1.2 and every researcher have it."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def read_yaml(text: str) -> Any:
    """The value written in YAML (or JSON, which is YAML).

    Raises:
        SpecError: the text is not YAML.
    """
    try:
        # The loader derives from SafeLoader.
        return yaml.load(text, Loader=_Loader)  # noqa: S506  # nosec B506
    except yaml.YAMLError as error:
        raise SpecError(f"This is not YAML: {' '.join(str(error).split())}") from error


def parse(data: object) -> Spec:
    """The spec that plain data (from JSON or YAML) describe.

    Raises:
        SpecError: every problem, one a line, each with the field's path.
    """
    try:
        return Spec.model_validate(data)
    except ValidationError as error:
        lines = [f"  {p.pointer.strip('/').replace('/', '.') or 'spec'}: {p.message}" for p in problems(error)]
        raise SpecError("The spec cannot be used:\n" + "\n".join(lines)) from error


def override(data: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """A copy of `data` with each `path.to.field=value` set; values are read as YAML.

    Raises:
        SpecError: a word is not of that form, or a path leads through something that has no fields.
    """
    result = dict(data)
    for word in assignments:
        path, sign, value = word.partition("=")
        if not sign or not path:
            raise SpecError(f"{word!r} is not of the form field=value, such as optimizer.lr=0.1")
        result = assign(result, path, read_yaml(value))
    return result


def assign(data: Mapping[str, Any], path: str, value: object) -> dict[str, Any]:
    """A copy of `data` with the field at the dotted `path` set; a part written as a string keeps its kind.

    Raises:
        SpecError: the path leads through something that has no fields.
    """
    result = dict(data)
    _put(result, path.split("."), value)
    return result


def _put(data: dict[str, Any], path: list[str], value: object) -> None:
    if len(path) == 1:
        data[path[0]] = value
        return
    below = data.get(path[0], _default(path[0]))
    if not isinstance(below, str | Mapping):
        raise SpecError(f"{'.'.join(path)} cannot be set: {path[0]} is {below!r}, which has no fields")
    data[path[0]] = inner = expand_shorthand(below)
    _put(inner, path[1:], value)


def _default(name: str) -> dict[str, str]:
    """A part that was not written yet has the kind it would have had."""
    field = Spec.model_fields.get(name)
    return {"kind": field.default.kind} if field and hasattr(field.default, "kind") else {}


def problems(error: ValidationError) -> list[Problem]:
    """What pydantic found, one problem a field, in sentences that name the value and what is allowed."""
    found: dict[str, list[str]] = {}
    for detail in error.errors(include_url=False):
        for place, message in _located(detail):
            messages = found.setdefault(place, [])
            if message not in messages:
                messages.append(message)
    # An invalid item also makes its list "too short": the list's own complaint adds nothing.
    outer = {p for p in found for q in found if q.startswith(f"{p}/")}
    return [Problem(place, " ".join(messages)) for place, messages in found.items() if place not in outer]


def _located(detail: ErrorDetails) -> list[tuple[str, str]]:
    if detail["type"] == "misfit":
        return [("/" + path.replace(".", "/"), f"{text}.") for path, text in detail.get("ctx", {})["misfits"]]
    steps, part = _walk(detail["loc"])
    return [(pointer(steps), sentence(detail, part))]


def pointer(steps: Iterable[int | str]) -> str:
    """The JSON Pointer (RFC 6901) of these steps."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in steps)


def sentence(detail: ErrorDetails, part: type[Part] | None) -> str:
    """What pydantic found, with the value and what is allowed; `part` is the one whose field it concerns."""
    given, context = _shown(detail["input"]), detail.get("ctx", {})
    match detail["type"]:
        case "missing":
            return "This field is required."
        case "extra_forbidden":
            return f"There is no such field; allowed here are {', '.join(part.model_fields) if part else 'none'}."
        case "union_tag_invalid":
            return f"{context['tag']!r} is not known; allowed are {context['expected_tags'].replace(chr(39), '')}."
        case "union_tag_not_found":
            return f"{given} does not say its kind; add the field 'kind'."
        case "model_attributes_type" | "model_type":
            return f"{given} is neither a kind nor an object of fields."
        case "value_error":
            return f"{context['error']}."
        case _:
            return f"{given} {detail['msg'].replace('Input should', 'should').replace('should be', 'must be')}."


def _walk(loc: tuple[int | str, ...]) -> tuple[list[str], type[Part] | None]:
    """The path of fields in an error's location, and the part whose field the last step is (or is not).

    Where a union is entered pydantic adds the member's tag to the location; a JSON Pointer knows only fields.
    """
    steps: list[str] = []
    holder: type[Part] | None = None
    part: type[Part] | None = Spec
    members: dict[str, type[Part]] = {}
    for step in loc:
        if part is None and isinstance(step, str):
            part = members.get(step)
            continue
        steps.append(str(step))
        holder, members = part, _members(part, step)
        part = members.get("") if members else None
    return steps, holder


def _members(part: type[Part] | None, step: int | str) -> dict[str, type[Part]]:
    """The parts that a field can hold, by the tag pydantic gives them; "" where there is but one."""
    if part is None or step not in part.model_fields:
        return {}
    parts = [a for a in _flat(part.model_fields[str(step)].annotation) if isinstance(a, type) and issubclass(a, Part)]
    tagged = {tag: p for p in parts for tag in _tags(p)}
    return {"": parts[0]} if len(parts) == 1 and not isinstance(tagged.get("every"), type) else tagged


def _flat(annotation: Any) -> list[Any]:
    """The members of a union, through Annotated, in order."""
    if (inner := getattr(annotation, "__metadata__", None)) is not None and inner:
        return _flat(annotation.__origin__)
    if get_origin(annotation) in (Union, UnionType):
        return [leaf for member in get_args(annotation) for leaf in _flat(member)]
    return [annotation]


def _tags(part: type[Part]) -> tuple[str, ...]:
    return get_args(part.model_fields["kind"].annotation) if "kind" in part.model_fields else (part.__name__.lower(),)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
