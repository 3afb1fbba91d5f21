"""A spec in as few words as mean the same, for people to read and to copy."""

from collections.abc import Mapping
from typing import Any

from ncmix.spec import VOCABULARY, Spec

# Dataset and model have no default; any will do here.
_DEFAULTS = Spec.model_validate({"dataset": "digits", "model": "mlp"}).model_dump(mode="json")


def shortened(spec: Mapping[str, Any]) -> dict[str, Any]:
    """The spec without what a default says anyway; parts of which only the kind is left are that word."""
    return {
        name: _shortened(name, value)
        for name, value in spec.items()
        if name in ("dataset", "model") or value != _DEFAULTS.get(name)
    }


def _shortened(name: str, value: Any) -> Any:
    if name not in VOCABULARY or not isinstance(value, dict):
        return _without(value, _DEFAULTS.get(name))
    part = VOCABULARY[name].get(value.get("kind", ""))
    if part is None:  # from another time
        return value
    usual = {n: f.get_default() for n, f in part.model_fields.items() if not f.is_required()}
    kept = {n: v for n, v in value.items() if n == "kind" or n not in usual or v != _plain(usual[n])}
    return kept["kind"] if len(kept) == 1 else kept


def _without(value: Any, usual: Any) -> Any:
    """An object without the fields that are as usual."""
    if not isinstance(value, dict) or not isinstance(usual, dict):
        return value
    return {n: _without(v, usual.get(n)) for n, v in value.items() if n not in usual or v != usual[n]}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
