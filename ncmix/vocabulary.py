"""Everything that can be said in a spec and everything that comes out, each with its meaning: what `ncmix vocabulary`
prints and `GET /api/v1/vocabulary` answers.

All of it is read: meanings and papers from docstrings, types and bounds from the JSON Schema that also validates.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any, Self

from pydantic import BaseModel, Field

from ncmix import presets
from ncmix.glossary import LETTERS, METRICS, Definition, sources
from ncmix.plots import FORMATS, PLOTS, THEMES
from ncmix.spec import VOCABULARY, Part, Spec

# A JSON Schema, or a part of one.
Schema = dict[str, Any]


class FieldInfo(BaseModel):
    """One field: what it is for, what it may hold, in words and as JSON Schema, and what it holds if it is not given.

    Where it is required there is no default, and `default` is null.
    """

    description: str = Field(description="empty where the part it belongs to says it")
    allowed: str
    required: bool
    default: Any
    json_schema: Schema


class Kind(BaseModel):
    """One variant of an axis: its formula or meaning, the papers it is from, and its fields."""

    description: str
    source: str
    fields: dict[str, FieldInfo]


class Recipe(BaseModel):
    """A preset in short: where it is from, what came out there, what is ours, and its experiments at each scale."""

    title: str
    paper: str
    outcome: str
    ours: str
    small: str
    experiments: dict[presets.Scale, int]

    @classmethod
    def of(cls, name: str) -> Self:
        """The preset of that name."""
        full, small = presets.load(name), presets.load(name, "small")
        texts = {field: getattr(full, field) for field in ("title", "paper", "outcome", "ours", "small")}
        return cls(**texts, experiments={"full": len(full.specs), "small": len(small.specs)})


class PresetView(BaseModel):
    """A preset at a scale, with every experiment it makes; `small` says what the small scale shows."""

    name: str
    title: str
    paper: str
    outcome: str
    ours: str
    small: str
    scale: presets.Scale
    specs: list[dict[str, Any]]

    @classmethod
    def of(cls, preset: presets.Preset) -> Self:
        """The preset as it is shown."""
        shown = dict(vars(preset))
        return cls(**{**shown, "specs": [spec.model_dump(mode="json") for spec in preset.specs]})


class Vocabulary(BaseModel):
    """The closed vocabulary: every name in it is a key here, under the name that a spec or a result has for it."""

    axes: dict[str, dict[str, Kind]] = Field(description="the parts of a spec that have variants, and their kinds")
    fields: dict[str, FieldInfo] = Field(description="every other field of a spec, by its dotted path")
    metrics: dict[str, Definition]
    letters: str = Field(description="what the letters in the definitions of metrics mean")
    presets: dict[str, Recipe]
    plots: dict[str, str]
    formats: list[str]
    themes: list[str]
    spec: Schema = Field(description="JSON Schema of a whole spec")


@cache
def read() -> Vocabulary:
    """All there is."""
    schema = Spec.model_json_schema()
    return Vocabulary(
        axes={axis: {kind: _kind(part) for kind, part in kinds.items()} for axis, kinds in VOCABULARY.items()},
        fields={path: info for path, info in _fields(schema, schema) if path.partition(".")[0] not in VOCABULARY},
        metrics=METRICS,
        letters=LETTERS,
        presets={name: Recipe.of(name) for name in presets.names()},
        plots={name: plot.description for name, plot in PLOTS.items()},
        formats=list(FORMATS),
        themes=list(THEMES),
        spec=schema,
    )


def _kind(part: type[Part]) -> Kind:
    schema, text = part.model_json_schema(), _line(part.__doc__ or "")
    fields = {path: info for path, info in _fields(schema, schema) if path != "kind"}
    return Kind(description=text, source="; ".join(sources(text)), fields=fields)


def _line(text: str) -> str:
    return " ".join(text.split())


def _fields(schema: Schema, root: Schema, before: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """The fields of an object by their dotted paths, each object followed by its own fields."""
    for name, written in schema["properties"].items():
        found, required = _resolved(written, root), name in schema.get("required", ())
        inner = _only_object(found, root)
        yield (
            f"{before}{name}",
            FieldInfo(
                description=_line(written.get("description", (inner or {}).get("description", ""))),
                allowed=_allowed(found, root) if inner is None else _object(found, root),
                required=required,
                default=written.get("default"),
                json_schema=found,
            ),
        )
        if inner is not None:
            yield from _fields(inner, root, f"{before}{name}.")


def _resolved(schema: Schema, root: Schema) -> Schema:
    """With what a reference stands for in its place."""
    if "$ref" not in schema:
        return schema
    target = root["$defs"][schema["$ref"].rpartition("/")[2]]
    return {**target, **{key: value for key, value in schema.items() if key != "$ref"}}


def _alternatives(schema: Schema, root: Schema) -> list[Schema]:
    return [_resolved(each, root) for each in schema.get("anyOf") or schema.get("oneOf") or [schema]]


def _only_object(schema: Schema, root: Schema) -> Schema | None:
    """The object that this is, unless it is null; None where it can be anything else."""
    others = [each for each in _alternatives(schema, root) if each.get("type") != "null"]
    return others[0] if len(others) == 1 and others[0].get("type") == "object" else None


def _object(schema: Schema, root: Schema) -> str:
    """Its own fields are listed after it."""
    return "null or object" if len(_alternatives(schema, root)) > 1 else "object"


def _allowed(schema: Schema, root: Schema) -> str:
    """What a JSON Schema admits, in a few words: `0 ≤ number < 1`, `null or integer ≥ 1`, `none | crop_flip`."""
    several = _alternatives(schema, root)
    if len(several) > 1:
        several.sort(key=lambda each: each.get("type") != "null")
        return " or ".join(_allowed(each, root) for each in several)
    match several[0]:
        case {"enum": names}:
            return " | ".join(map(str, names))
        case {"const": name}:
            return str(name)
        case {"type": "array"} as array:
            return _array(array, root)
        case {"type": "object", "properties": fields}:
            return f"{{{', '.join(f'{name}: {_allowed(field, root)}' for name, field in fields.items())}}}"
        case {"type": "string"} as text:
            return f"text of at most {text['maxLength']} characters" if "maxLength" in text else "text"
        case {"type": "boolean"}:
            return "true | false"
        case {"type": "integer" | "number" | "null"} as bounded:
            return _bounded(bounded)
        case other:
            raise ValueError(f"nobody has said how to describe {other}")


def _array(array: Schema, root: Schema) -> str:
    if "prefixItems" in array:
        return f"[{', '.join(_allowed(_resolved(item, root), root) for item in array['prefixItems'])}]"
    items, least, most = (
        _allowed(_resolved(array["items"], root), root),
        array.get("minItems", 0),
        array.get("maxItems"),
    )
    sizes = f"{least} to {most}" if most else f"{least} or more"
    return f"list of {sizes} ({items})"


def _bounded(schema: Schema) -> str:
    """`1 ≤ integer ≤ 9`, `number > 0`, `integer`."""
    kind = schema["type"]
    low = next(((_size(schema[key]), sign) for key, sign in _LOW.items() if key in schema), None)
    high = next((f" {sign} {_size(schema[key])}" for key, sign in _HIGH.items() if key in schema), "")
    if low is None:
        return f"{kind}{high}"
    bound, sign = low
    return f"{bound} {sign} {kind}{high}" if high else f"{kind} {_TURNED[sign]} {bound}"


_LOW = {"minimum": "≤", "exclusiveMinimum": "<"}
_HIGH = {"maximum": "≤", "exclusiveMaximum": "<"}
_TURNED = {"≤": "≥", "<": ">"}


def _size(bound: float) -> str:
    """A number as it is written, but 2^63 for the bound of seeds."""
    return "2^63" if bound == 2**63 else f"{bound:.15g}"
