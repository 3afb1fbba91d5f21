"""A JSON Schema in a few words, some of which lead to the schema they name."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any, Self

# A JSON Schema, a part of one, or of a document with some.
Schema = dict[str, Any]

_BOUNDS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


@dataclass(frozen=True)
class Word:
    """Some text; `model` is the schema that it names."""

    text: str
    model: str = ""


@dataclass(frozen=True)
class Field:
    """A field of a body, or a parameter and the `place` it has in a request."""

    name: str
    place: str
    required: bool
    words: list[Word]
    default: str
    description: str

    @classmethod
    def of(cls, name: str, schema: Schema, *, required: bool, place: str = "") -> Self:
        """The field of this schema."""
        default = json.dumps(schema["default"], ensure_ascii=False) if schema.get("default") is not None else ""
        return cls(name, place, required, worded(schema), default, schema.get("description", ""))


def fields(schema: Schema) -> list[Field]:
    """The fields of an object; none of anything else."""
    needed = schema.get("required", ())
    return [Field.of(name, inner, required=name in needed) for name, inner in schema.get("properties", {}).items()]


def worded(schema: Schema) -> list[Word]:
    """What a schema admits: `integer ≥ 1`, `"a" or "b"`, `list of Experiment`."""
    return list(_words(schema))


def _words(schema: Schema) -> Iterator[Word]:
    match schema:
        case {"$ref": reference}:
            name = reference.rpartition("/")[2]
            yield Word(name, name)
        case {"anyOf": several} | {"oneOf": several}:
            yield from _joined([list(_words(each)) for each in several])
        case {"enum": values}:
            yield Word(" | ".join(map(str, values)))
        case {"const": value}:
            yield Word(json.dumps(value))
        case {"type": "array"}:
            yield from chain([Word("list of ")], _words(schema.get("items", {})))
        case {"type": "object", "additionalProperties": dict() as inner}:
            yield from chain([Word("object of ")], _words(inner))
        case {"contentSchema": inner}:
            yield from chain([Word("JSON of ")], _words(inner))
        case {"type": kind}:
            yield Word(f"{schema.get('format', kind)}{_limits(schema)}")
        case _:
            yield Word("anything")


def _joined(several: list[list[Word]]) -> Iterator[Word]:
    for place, words in enumerate(several):
        yield from chain([Word(" or ")] if place else [], words)


def _limits(schema: Schema) -> str:
    numbers = "".join(f" {sign} {schema[name]:.15g}" for name, sign in _BOUNDS.items() if name in schema)
    most = f" of at most {schema['maxLength']} characters" if "maxLength" in schema else ""
    return numbers + most + (f" like {schema['pattern']}" if "pattern" in schema else "")
