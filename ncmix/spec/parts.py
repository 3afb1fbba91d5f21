"""What every part of a spec shares: frozen, closed, strict, and a string where only its kind matters."""

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class Part(BaseModel):
    """A frozen piece of a spec. Unknown fields, casts ("5" for 5) and NaN or infinity are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False, validate_default=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """As pydantic has it, and the kind required: without it nobody can tell which part an object is."""
        schema = handler(core)
        described = handler.resolve_ref_schema(schema)
        if "kind" in described.get("properties", {}):
            described["required"] = list(dict.fromkeys(["kind", *described.get("required", ())]))
        return schema


class _StringOrObject:
    """Documents in JSON Schema that `"sgd"` is short for `{"kind": "sgd"}`, of each kind that needs nothing else."""

    def __get_pydantic_json_schema__(self, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        objects = handler(core)
        parts = {kind: handler.resolve_ref_schema({"$ref": ref}) for kind, ref in _mapping(objects).items()}
        short = [kind for kind, part in parts.items() if part["required"] == ["kind"]]
        return {"anyOf": [{"type": "string", "enum": short, "description": "short for {kind: …}"}, objects]}


def _mapping(union: JsonSchemaValue) -> dict[str, str]:
    """The reference to the part of each kind."""
    return union["discriminator"]["mapping"]


def _expand(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


# Put behind a union discriminated by `kind`.
by_kind = (Field(discriminator="kind"), BeforeValidator(_expand), _StringOrObject())

# For tuple fields: JSON and YAML have lists only. The items stay strict.
listed = Field(strict=False)
# For those whose items must differ; a validator of their own sees to it.
unlike = Field(json_schema_extra={"uniqueItems": True})


def kinds(union: Any) -> dict[str, type[Part]]:
    """The closed vocabulary of a union by kind: each kind and the part that describes it, in the order written."""
    inner = get_args(union)[0] if get_origin(union) is Annotated else union
    members = get_args(inner) or (inner,)
    return {kind: part for part in members for kind in get_args(part.model_fields["kind"].annotation)}


def expand_shorthand(value: str | Mapping[str, Any]) -> dict[str, Any]:
    """The long form of a part: `"sgd"` as `{"kind": "sgd"}`."""
    return {"kind": value} if isinstance(value, str) else dict(value)
