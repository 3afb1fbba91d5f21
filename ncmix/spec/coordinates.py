"""Where a cell lies in its sweep: the fields that the sweep varies, by dotted path, with the values they have there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Coordinates = Mapping[str, Any]

# Cells that differ in nothing else are repetitions of one another.
SEED = "seed"


def value_at(coordinates: Coordinates, path: str) -> Any:
    """What the cell has at `path`, which is one of its coordinates or lies in one; None if nothing.

    A part stands for its kind: of {loss: {kind: mae}} both `loss` and `loss.kind` are mae.
    """
    for above, value in coordinates.items():
        if path == above:
            return _simple(value)
        if path.startswith(f"{above}."):
            return _simple(_inside(value, path.removeprefix(f"{above}.").split(".")))
    return None


def is_varied(cells: Sequence[Coordinates], path: str) -> bool:
    """Whether `path` is a coordinate of these cells or lies in one."""
    return any(path == above or path.startswith(f"{above}.") for cell in cells for above in cell)


def axes(cells: Sequence[Coordinates]) -> list[str]:
    """The fields in which cells differ, but for the seed, each as deep as is needed to tell its values apart.

    Of `mix`, none in one cell and mixup in another, that is `mix.kind`; `mix.alpha` is one too if there are mixups of
    more than one strength.
    """
    found: list[str] = []
    for path in dict.fromkeys(path for cell in cells for path in cell if path != SEED):
        values = _distinct([cell.get(path) for cell in cells])
        if len(values) > 1:
            found += _telling(path, values)
    return found


def shown(path: str, value: object) -> str:
    """The value at `path` for people: `mixup`, `sgd lr=0.1 momentum=0.9`, `weight_decay=0.0005`."""
    if isinstance(value, Mapping):
        return " ".join(str(v) if field == "kind" else f"{field}={v}" for field, v in value.items())
    return str(value) if isinstance(value, str) else f"{path.rpartition('.')[2]}={value}"


def written(value: object) -> str:
    """A value as text by which equal ones are found."""
    return json.dumps(value, sort_keys=True)


def _telling(path: str, values: Sequence[Any]) -> list[str]:
    """The path itself, or where values are parts the fields within that tell them apart."""
    leaves = [dict(_leaves(value)) if isinstance(value, Mapping) else {} for value in values]
    fields = [field for field in dict.fromkeys(f for leaf in leaves for f in leaf) if _differs(field, leaves)]
    apart = {written([leaf.get(field) for field in fields]) for leaf in leaves}
    return [f"{path}.{field}" for field in fields] if len(apart) == len(values) else [path]


def _differs(field: str, leaves: Sequence[Mapping[str, Any]]) -> bool:
    """Whether parts differ in `field`; fields that one kind has and another has not follow from the kind."""
    if field == "kind":
        return len(_distinct([leaf.get("kind") for leaf in leaves])) > 1
    kinds = _distinct([leaf.get("kind") for leaf in leaves])
    return any(len(_distinct([v.get(field) for v in leaves if v.get("kind") == kind])) > 1 for kind in kinds)


def _leaves(value: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, f"{above}{name}.")
        else:
            yield f"{above}{name}", inner


def _distinct(values: Sequence[Any]) -> list[Any]:
    return list({written(value): value for value in values}.values())


def _inside(value: Any, steps: Sequence[str]) -> Any:
    for step in steps:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _simple(value: Any) -> Any:
    return value.get("kind", value) if isinstance(value, Mapping) else value
