"""Many experiments by one definition: a base spec, what varies, and the seeds with which each of them is repeated."""

import math
from collections.abc import Iterator
from itertools import product
from random import Random as Generator
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, ValidationError, WithJsonSchema, model_validator
from pydantic_core import ErrorDetails

from ncmix.spec.coordinates import SEED
from ncmix.spec.draws import Draw
from ncmix.spec.experiment import Tag
from ncmix.spec.parts import Part, kinds, listed
from ncmix.spec.reading import Problem, SpecError, pointer, sentence

# A definition of more is a slip more often than a wish.
MOST_CELLS = 10_000
_DEEPEST = 32

Path = Annotated[str, Field(pattern=r"^[a-z_]+(\.[a-z_0-9]+)*$", max_length=200)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
# For objects whose keys are paths: in JSON Schema a pattern for keys alone forbids no others.
closed = Field(json_schema_extra={"additionalProperties": False})


class SweepError(SpecError):
    """What was written is no sweep; the message has every problem, one a line."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        self.problems = problems
        lines = [f"  {p.pointer.strip('/').replace('/', '.') or 'sweep'}: {p.message}" for p in problems]
        super().__init__("The sweep cannot be used:\n" + "\n".join(lines))


def _plain(value: Any, depth: int = 0) -> Any:
    """The value, if every database can hold it: what of it is a spec is judged later, cell by cell."""
    if depth > _DEEPEST:
        raise ValueError(f"this is nested too deeply; allowed are {_DEEPEST} levels")
    match value:
        case float() if not math.isfinite(value):
            raise ValueError(f"{value} is not a number; allowed are finite ones")
        case str() if not all(c.isprintable() or c in "\n\t" for c in value):
            raise ValueError(f"{value!r:.80} has characters that cannot be printed")
        case dict():
            for name, inner in value.items():
                _plain(name, depth + 1)
                _plain(inner, depth + 1)
        case list() | tuple():
            for inner in value:
                _plain(inner, depth + 1)
    return value


def _counted(value: Any) -> Any:
    """A number of seeds as these seeds."""
    if isinstance(value, list | tuple):
        return value
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{value!r:.80} is neither a number of seeds nor a list of them")
    if not 1 <= value <= MOST_CELLS:
        raise ValueError(f"{value} seeds are asked for; allowed are 1 to {MOST_CELLS}")
    return list(range(value))


Seeds = Annotated[
    tuple[Seed, ...],
    listed,
    Field(min_length=1, max_length=MOST_CELLS),
    BeforeValidator(_counted),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MOST_CELLS},
                {
                    "type": "array",
                    "items": {"type": "integer", "minimum": 0, "exclusiveMaximum": 2**63},
                    "minItems": 1,
                    "maxItems": MOST_CELLS,
                },
            ]
        }
    ),
]


class Sample(Part, use_attribute_docstrings=True):
    """Random points: `n` draws from the fields' ranges; those that come twice count once.

    A field's draws depend on the seed and its own path alone: more draws, or more fields, leave the first as they are.
    """

    n: Annotated[int, Field(ge=1, le=MOST_CELLS)]
    """How many points are drawn."""
    seed: Seed = 0
    """Of the draws; the experiments have seeds of their own."""
    fields: Annotated[dict[Path, Draw], closed, Field(min_length=1)]
    """From what each field is drawn."""

    def points(self) -> Iterator[dict[str, Any]]:
        """The points drawn, in order."""
        generators = {path: Generator(f"{self.seed}/{path}") for path in self.fields}  # noqa: S311  # nosec B311
        for _ in range(self.n):
            yield {path: draw.at(generators[path].random()) for path, draw in self.fields.items()}


class Sweep(Part, use_attribute_docstrings=True):
    """A base spec and the points at which it is run: those of `grid`, of `list` or of `random`, each with every seed.

    Fields are named by dotted paths, and hold values or whole parts: {optimizer.lr: [0.1, 0.01], mix: [none, mixup]}.
    """

    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""
    """What to call it, and how the names of its experiments begin."""
    tags: Annotated[tuple[Tag, ...], listed, Field(max_length=32)] = ()
    """Words for each of its experiments, beside those of `base`."""
    base: Annotated[dict[str, Any], BeforeValidator(_plain)] = Field(default_factory=dict)
    """A spec, or as much of it as does not vary."""
    grid: Annotated[
        dict[Path, Annotated[tuple[Any, ...], listed, Field(min_length=1)]], closed, BeforeValidator(_plain)
    ] = Field(default_factory=dict)
    """Values of fields: every combination is a point, the last field varying fastest."""
    list: Annotated[tuple[Annotated[dict[Path, Any], closed], ...], listed, BeforeValidator(_plain)] = ()
    """The points one by one, each with the fields in which it differs from the base."""
    random: Annotated[Sample | None, BeforeValidator(_plain)] = None
    """Points drawn at random."""
    seeds: Seeds | None = None
    """Seeds of every point: a list, or a number n for 0 to n−1; null for the base's own."""
    exclude: Annotated[
        tuple[Annotated[dict[Path, Any], closed, Field(min_length=1)], ...], listed, BeforeValidator(_plain)
    ] = ()
    """Combinations to leave out: a cell that has all values of one of these is none."""
    skip_invalid: bool = False
    """Leave out what makes no valid spec; otherwise one such cell refuses the sweep."""

    @model_validator(mode="after")
    def _one_way_to_vary(self) -> Self:
        given = [name for name in ("grid", "list", "random") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"points are given by {' and '.join(given)}; allowed is one of grid, list and random")
        if self.seeds is not None and SEED in self._varied:
            raise ValueError(f"the seed is given by {given[0]} and by seeds; allowed is one of them")
        if (count := self._count) > MOST_CELLS:
            raise ValueError(f"these are {count} cells; allowed are up to {MOST_CELLS}")
        return self

    @property
    def _varied(self) -> set[str]:
        drawn = set(self.random.fields) if self.random else set()
        return {*self.grid, *drawn, *(path for point in self.list for path in point)}

    @property
    def _count(self) -> int:
        points = math.prod(len(values) for values in self.grid.values())
        points = len(self.list) or (self.random.n if self.random else points)
        return points * len(self._seeds)

    @property
    def _seeds(self) -> tuple[dict[str, int], ...]:
        return ({},) if self.seeds is None else tuple({SEED: seed} for seed in self.seeds)

    def points(self) -> Iterator[dict[str, Any]]:
        """The fields that each cell sets, as they were written, in order: the seeds of a point follow each other."""
        points = self.list or (self.random.points() if self.random else self._combinations())
        for point in points:
            for seed in self._seeds:
                yield {**point, **seed}

    def _combinations(self) -> Iterator[dict[str, Any]]:
        for values in product(*self.grid.values()):
            yield dict(zip(self.grid, values, strict=True))


def parse_sweep(data: object) -> Sweep:
    """The sweep that plain data (from JSON or YAML) describe; its cells are judged by `expand`.

    Raises:
        SweepError: every problem with its place.
    """
    try:
        return Sweep.model_validate(data)
    except ValidationError as error:
        raise SweepError(tuple(_problem(detail) for detail in error.errors(include_url=False))) from error


def _problem(detail: ErrorDetails) -> Problem:
    steps = list(detail["loc"])
    message = sentence(detail, _holder(steps))
    if steps[:2] == ["random", "fields"]:
        del steps[3:4]  # the kind of the draw, which is no field
    return Problem(pointer(step for step in steps if step != "[key]"), message)


def _holder(steps: list[int | str]) -> type[Part] | None:
    """The part whose field the last step is, or is not."""
    match steps:
        case [_]:
            return Sweep
        case ["random", _]:
            return Sample
        case ["random", "fields", _, kind, _]:
            return kinds(Draw).get(str(kind))
        case _:
            return None
