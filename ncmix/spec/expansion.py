"""From a sweep to its experiments: every cell judged as a spec, and whatever is wrong with any of them said at once."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from pydantic import ValidationError

from ncmix.spec.coordinates import shown, written
from ncmix.spec.experiment import Spec
from ncmix.spec.parts import expand_shorthand
from ncmix.spec.reading import Problem, SpecError, assign, pointer, problems
from ncmix.spec.sweep import Sweep, SweepError


@dataclass(frozen=True)
class Cell:
    """One experiment of a sweep: its number among all points, what it varies, in full, and its spec with the key."""

    number: int
    coordinates: dict[str, Any]
    spec: Spec
    key: str


@dataclass(frozen=True)
class Expansion:
    """The cells of a sweep, how many of its points were excluded, and those left out because they make no spec."""

    cells: tuple[Cell, ...]
    excluded: int
    invalid: tuple[Problem, ...]

    @property
    def key(self) -> str:
        """SHA-256 of the cells' keys and places: what gives the same cells is the same sweep, however it is written."""
        what = [[cell.number, cell.key, cell.coordinates] for cell in self.cells]
        return hashlib.sha256(written(what).encode()).hexdigest()


def expand(sweep: Sweep) -> Expansion:
    """The cells of a sweep; the same sweep gives the same ones, in the same order.

    Raises:
        SweepError: a cell is no spec, or the same as another, and the sweep does not say to leave such out; a rule of
            `exclude` fits no cell; or no cell is left. Each problem names its cells and the field.
    """
    judged = _Judged(sweep)
    for number, point in enumerate(sweep.points()):
        judged.judge(number, point)
    found = tuple(judged.problems())
    if unused := [i for i in range(len(sweep.exclude)) if i not in judged.used]:
        unfit = [Problem(f"/exclude/{i}", "No cell is excluded by this; allowed is what fits some.") for i in unused]
        raise SweepError((*unfit, *found))
    if found and not sweep.skip_invalid:
        raise SweepError(found)
    if not judged.cells:
        raise SweepError((*found, Problem("", "No cell is left of this sweep.")))
    return Expansion(tuple(judged.cells), judged.excluded, found)


@dataclass
class _Judged:
    """What is known of the cells so far."""

    sweep: Sweep
    cells: list[Cell] = field(default_factory=list[Cell])
    excluded: int = 0
    used: set[int] = field(default_factory=set[int])
    by_key: dict[str, int] = field(default_factory=dict[str, int])
    # By place and message the numbers of the cells, and what the first of them is.
    wrong: dict[tuple[str, str], tuple[str, list[int]]] = field(default_factory=dict[Any, Any])

    def __post_init__(self) -> None:
        self.base = _with_tags(self.sweep)

    def judge(self, number: int, point: Mapping[str, Any]) -> None:
        try:
            data = _assigned(self.base, point)
        except SpecError as error:
            self._refuse(number, point, Problem("", str(error)))
            return
        if fitting := [i for i, rule in enumerate(self.sweep.exclude) if _fits(data, rule)]:
            self.used.update(fitting)
            self.excluded += 1
            return
        if self.sweep.name and not data.get("name"):
            data["name"] = _name(self.sweep.name, point)
        try:
            self._accept(number, point, Spec.model_validate(data))
        except ValidationError as error:
            for problem in problems(error):
                self._refuse(number, point, problem)

    def problems(self) -> Iterator[Problem]:
        for (place, message), (first, numbers) in self.wrong.items():
            cells = f"Cell {numbers[0]}" if len(numbers) == 1 else f"Cells {_ranges(numbers)}"
            yield Problem(place, f"{cells} ({first}): {message}")

    def _accept(self, number: int, point: Mapping[str, Any], spec: Spec) -> None:
        key = spec.key
        if key not in self.by_key:
            self.by_key[key] = number
            written_out = spec.model_dump(mode="json")
            self.cells.append(Cell(number, {path: _found(written_out, path) for path in point}, spec, key))
        elif self.sweep.random is None:
            # Drawing the same twice is chance, writing it twice a slip; either way it must not count twice.
            self._refuse(number, point, Problem("", f"This is the same experiment as cell {self.by_key[key]}."))

    def _refuse(self, number: int, point: Mapping[str, Any], problem: Problem) -> None:
        name = problem.pointer.strip("/").replace("/", ".")
        message = f"{name}: {problem.message}" if name else problem.message
        first = ", ".join(f"{path}={shown('', value).removeprefix('=')}" for path, value in point.items())
        place = self._place(number, name, point)
        self.wrong.setdefault((place, message), (first or "the base", []))[1].append(number)

    def _place(self, number: int, name: str, point: Mapping[str, Any]) -> str:
        """Where in the definition the field is given: where it varies, else in the base."""
        inside = [path for path in point if name and (name == path or name.startswith(f"{path}."))]
        if not inside:
            return pointer(["base", *name.split(".")]) if name else ""
        if self.sweep.grid and inside[-1] in self.sweep.grid:
            return pointer(["grid", inside[-1]])
        if self.sweep.random and inside[-1] in self.sweep.random.fields:
            return pointer(["random", "fields", inside[-1]])
        seeds = len(self.sweep.seeds or ()) or 1
        return pointer(["list", number // seeds, inside[-1]]) if self.sweep.list else "/seeds"


def _with_tags(sweep: Sweep) -> dict[str, Any]:
    tags = sweep.base.get("tags", [])
    if not sweep.tags or not isinstance(tags, list):
        return sweep.base
    return {**sweep.base, "tags": list(dict.fromkeys([*tags, *sweep.tags]))}


def _assigned(base: Mapping[str, Any], point: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for path, value in point.items():
        result = assign(result, path, value)
    return result


def _fits(data: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    return all(_is(_found(data, path), wanted) for path, wanted in rule.items())


def _is(value: Any, wanted: Any) -> bool:
    """Whether a value is the one of a rule: a part is wanted by its kind, or by some of its fields."""
    if isinstance(wanted, Mapping):
        part = expand_shorthand(value) if isinstance(value, str | Mapping) else {}
        return all(name in part and _is(part[name], inner) for name, inner in wanted.items())
    return (value.get("kind") if isinstance(value, Mapping) and isinstance(wanted, str) else value) == wanted


def _found(data: Mapping[str, Any], path: str) -> Any:
    """What is at the path; None if nothing."""
    value: Any = data
    for step in path.split("."):
        part = {"kind": value} if isinstance(value, str) else value
        value = part.get(step) if isinstance(part, Mapping) else None
    return value


def _name(sweep: str, point: Mapping[str, Any]) -> str:
    name = " · ".join([sweep, *(shown(path, value) for path, value in point.items())])
    return "".join(c for c in name if c.isprintable())[:200]


def _ranges(numbers: Sequence[int]) -> str:
    """`0–3, 7, 9–11`."""
    runs: dict[int, list[int]] = {}
    for place, number in zip(count(), numbers, strict=False):
        runs.setdefault(number - place, []).append(number)
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs.values())
