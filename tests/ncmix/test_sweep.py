"""A sweep is a base, what varies and seeds; its cells are the same every time, and what is wrong with any is said."""

from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ncmix.spec import SweepError, axes, expand, parse_sweep, read_yaml, value_at
from ncmix.spec.draws import Choice, Integer, LogUniform, Uniform

BASE = {"dataset": "digits", "model": "mlp", "epochs": 3}
EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "sweeps"


def cells(**fields: Any) -> list[Any]:
    """The cells of a sweep over BASE."""
    return list(expand(parse_sweep({"base": BASE, **fields})).cells)


def refused(**fields: Any) -> dict[str, str]:
    """What is said of a sweep over BASE that cannot be used, by place."""
    with pytest.raises(SweepError) as caught:
        cells(**fields)
    return {problem.pointer: problem.message for problem in caught.value.problems}


def test_a_grid_is_every_combination_with_every_seed_in_order() -> None:
    found = cells(grid={"optimizer.lr": [0.1, 0.2], "mix": ["none", {"kind": "mixup", "alpha": 0.5}]}, seeds=[4, 7])
    said = [(c.number, c.spec.optimizer.lr, c.spec.mix.kind, c.spec.seed) for c in found]
    assert said == [(i, *point) for i, point in enumerate(product((0.1, 0.2), ("none", "mixup"), (4, 7)))]
    assert found[-1].spec.mix.alpha == 0.5
    assert all(c.key == c.spec.key for c in found)


def test_a_list_says_for_each_point_what_differs() -> None:
    found = cells(list=[{}, {"mix": "mixup", "optimizer.lr": 0.3}, {"seed": 5}])
    assert [(c.spec.mix.kind, c.spec.optimizer.lr, c.spec.seed) for c in found] == [
        ("none", 0.0679, 0),
        ("mixup", 0.3, 0),
        ("none", 0.0679, 5),
    ]


def test_without_anything_that_varies_there_are_the_seeds_of_the_base() -> None:
    assert [c.spec.seed for c in cells(seeds=3)] == [0, 1, 2]
    assert [c.spec.seed for c in cells()] == [0]


def test_coordinates_are_written_in_full_whatever_was_short() -> None:
    short, long = cells(grid={"mix": ["mixup"]}), cells(grid={"mix": [{"kind": "mixup", "alpha": 1}]})
    assert short[0].coordinates == long[0].coordinates
    keys = [expand(parse_sweep({"base": BASE, "grid": {"mix": [mix]}})).key for mix in ("mixup", {"kind": "mixup"})]
    assert keys[0] == keys[1]


def test_names_and_tags_reach_the_experiments_and_change_no_key() -> None:
    (plain,), (named,) = cells(grid={"loss": ["mse"]}), cells(grid={"loss": ["mse"]}, name="study", tags=["a"])
    assert (named.spec.title, named.spec.tags) == ("study · mse", ("a",))
    assert named.key == plain.key


def test_only_one_way_to_say_what_varies() -> None:
    assert "given by grid and list" in refused(grid={"mix": ["none"]}, list=[{}])[""]
    assert "the seed is given by list and by seeds" in refused(list=[{"seed": 1}], seeds=2)[""]
    assert "100000000 cells; allowed are up to 10000" in refused(grid={"epochs": [1] * 10_000}, seeds=10_000)[""]


@pytest.mark.parametrize(
    ("fields", "place", "message"),
    [
        ({"grid": {"mix": []}}, "/grid/mix", "at least 1 item"),
        ({"grid": {"Mix/": ["none"]}}, "/grid/Mix~1", "should match pattern"),
        ({"seeds": 0}, "/seeds", "0 seeds are asked for; allowed are 1 to 10000."),
        ({"seeds": 3.0}, "/seeds", "3.0 is neither a number of seeds nor a list of them."),
        ({"seeds": []}, "/seeds", "at least 1 item"),
        ({"seeds": [1, -2]}, "/seeds/1", "-2 must be greater than or equal to 0."),
        ({"colour": 1}, "/colour", "There is no such field; allowed here are name, tags, base, grid,"),
        ({"base": {"x": float("nan")}}, "/base", "nan is not a number; allowed are finite ones."),
        ({"base": {"name": "a\x00"}}, "/base", "has characters that cannot be printed."),
        ({"list": [{"tags": ["\ud800"]}]}, "/list", "has characters that cannot be printed."),
        ({"random": {"n": 0, "fields": {}}}, "/random/n", "0 must be greater than or equal to 1."),
        ({"random": {"n": 1, "fields": {"seed": {"kind": "dice"}}}}, "/random/fields/seed", "'dice' is not known"),
        (
            {"random": {"n": 1, "fields": {"optimizer.lr": {"kind": "uniform", "low": 2.0, "high": 1.0}}}},
            "/random/fields/optimizer.lr",
            "low must be below high, but 2 is not below 1.",
        ),
        (
            {"random": {"n": 1, "fields": {"seed": {"kind": "integer", "low": 2, "hi": 1}}}},
            "/random/fields/seed/hi",
            "There is no such field; allowed here are kind, low, high.",
        ),
        ({"exclude": [{}]}, "/exclude/0", "at least 1 item"),
        ({"exclude": [{"mix": "cutmix"}]}, "/exclude/0", "No cell is excluded by this"),
        ({"exclude": [{"model": "mlp"}]}, "", "No cell is left"),
    ],
)
def test_what_is_no_sweep_is_refused_in_a_sentence(fields: dict[str, Any], place: str, message: str) -> None:
    assert message in refused(**fields)[place]


def test_nesting_without_end_is_refused() -> None:
    deep: Any = {}
    for _ in range(200):
        deep = {"x": deep}
    assert "nested too deeply" in refused(base=deep)["/base"]


def test_every_cell_that_is_no_spec_is_named_with_its_field() -> None:
    grid = {"dataset": ["digits", "gaussian"], "model": ["mlp", "vit"], "optimizer.lr": [0.1, -1]}
    found = refused(grid=grid)
    assert found == {
        "/grid/optimizer.lr": "Cells 1, 3, 5, 7 (dataset=digits, model=mlp, optimizer.lr=-1): optimizer.lr: -1 must be "
        "greater than 0.",
        "/grid/model": "Cell 6 (dataset=gaussian, model=vit, optimizer.lr=0.1): model: vit needs images, but gaussian "
        "has vectors; allowed is mlp.",
    }


def test_a_fault_of_the_base_is_said_once_for_all_cells() -> None:
    assert refused(base={**BASE, "epochs": -1}, seeds=200) == {
        "/base/epochs": "Cells 0–199 (seed=0): epochs: -1 must be greater than or equal to 1."
    }


def test_a_place_that_has_no_fields_and_one_that_is_written_twice() -> None:
    found = refused(list=[{"mix": "none"}, {"mix": "mixup", "epochs.x": 1}, {"mix": "none"}, {"mixx": 1}])
    assert found["/list/3/mixx"].startswith("Cell 3 (mixx=1): mixx: There is no such field; allowed here are dataset")
    assert found[""] == "Cell 2 (mix=none): This is the same experiment as cell 0."
    with pytest.raises(SweepError, match=r"Cell 1 .*epochs\.x cannot be set: epochs is 3, which has no fields"):
        cells(list=[{}, {"epochs.x": 1}])


def test_what_makes_no_sense_is_left_out_only_when_asked_for() -> None:
    grid = {"dataset": ["digits", "gaussian"], "model": ["mlp", "vit"]}
    sweep = parse_sweep({"base": BASE, "grid": grid, "skip_invalid": True, "seeds": 2})
    expansion = expand(sweep)
    assert [c.number for c in expansion.cells] == [0, 1, 2, 3, 4, 5]
    assert [p.message[:10] for p in expansion.invalid] == ["Cells 6–7 "]
    rule = {"dataset": "gaussian", "model": {"kind": "vit"}}
    excluded = expand(parse_sweep({"base": BASE, "grid": grid, "exclude": [rule], "seeds": 2}))
    assert (excluded.cells, excluded.excluded, excluded.invalid) == (expansion.cells, 2, ())
    assert excluded.key == expansion.key


@given(u=st.floats(0, 1, exclude_max=True), low=st.integers(-50, 50), more=st.integers(0, 100))
def test_draws_stay_in_their_range(u: float, low: int, more: int) -> None:
    assert low <= Integer(low=low, high=low + more).at(u) <= low + more
    assert low <= Uniform(low=low, high=low + more + 1).at(u) <= low + more + 1
    assert 1e-3 <= LogUniform(low=1e-3, high=10.0).at(u) <= 10.0
    assert Choice(values=("a", "b")).at(u) == ("a" if u < 0.5 else "b")


RATE = {"kind": "log_uniform", "low": 1e-4, "high": 1.0}


@given(n=st.integers(1, 20), more=st.integers(0, 20), seed=st.integers(0, 2**62))
def test_a_longer_or_wider_sample_begins_as_the_shorter_one(n: int, more: int, seed: int) -> None:
    def points(n: int, **fields: Any) -> list[dict[str, Any]]:
        return list(parse_sweep({"random": {"n": n, "seed": seed, "fields": fields}}).points())

    short = points(n, **{"optimizer.lr": RATE})
    wide = points(n + more, **{"batch_size": {"kind": "integer", "low": 2, "high": 9}, "optimizer.lr": RATE})
    assert [point["optimizer.lr"] for point in wide[:n]] == [point["optimizer.lr"] for point in short]


def test_logarithms_are_drawn_evenly() -> None:
    sample = parse_sweep({"random": {"n": 4000, "fields": {"optimizer.lr": RATE}}}).points()
    rates = [point["optimizer.lr"] for point in sample]
    assert abs(sum(rate < 1e-2 for rate in rates) / 4000 - 0.5) < 0.03
    assert len(set(rates)) > 3900


def test_what_is_drawn_twice_counts_once() -> None:
    fields = {"batch_size": {"kind": "integer", "low": 16, "high": 18}}
    found = cells(random={"n": 50, "fields": fields}, seeds=2)
    assert sorted((c.spec.batch_size, c.spec.seed) for c in found) == list(product((16, 17, 18), (0, 1)))


MIXES = [{"mix": {"kind": "none"}}, {"mix": {"kind": "mixup", "alpha": 0.2}}, {"mix": {"kind": "mixup", "alpha": 1.0}}]


@pytest.mark.parametrize(
    ("points", "found"),
    [
        ([{"seed": 0}, {"seed": 1}], []),
        ([{"epochs": 3}, {"epochs": 4}], ["epochs"]),
        (MIXES[:2], ["mix.kind"]),
        (MIXES[1:], ["mix.alpha"]),
        (MIXES, ["mix.kind", "mix.alpha"]),
        ([{"a": {"x": 1}}, {"a": None}], ["a.x"]),
        ([{"a": {"x": None}}, {"a": None}], ["a"]),
        ([{"a": 1}, {}], ["a"]),
    ],
)
def test_axes_are_as_deep_as_is_needed_to_tell_cells_apart(points: list[dict[str, Any]], found: list[str]) -> None:
    assert axes(points) == found
    values = [str([value_at(point, path) for path in found]) for point in points]
    apart = {str({name: value for name, value in point.items() if name != "seed"}) for point in points}
    assert len(set(values)) == len(apart)


def test_a_part_stands_for_its_kind() -> None:
    assert [value_at(MIXES[1], path) for path in ("mix", "mix.kind", "mix.alpha", "mix.p", "mi")] == [
        "mixup",
        "mixup",
        0.2,
        None,
        None,
    ]


def test_the_study_is_one_file() -> None:
    found = expand(parse_sweep(read_yaml((EXAMPLES / "mixup-study.yaml").read_text()))).cells
    assert len(found) == 4 * 2 * 3 * 3 * 2 == len({c.key for c in found})
    assert {c.spec.loss.kind for c in found} == {"cross_entropy", "focal", "rescaled_mse", "mae"}
    assert {(c.spec.model.kind, c.spec.dataset.kind, c.spec.mix.kind, c.spec.seed) for c in found} == set(
        product(("wide_resnet", "vit"), ("cifar10", "cifar100", "fashion_mnist"), ("none", "mixup"), (0, 1, 2))
    )


def test_every_example_is_a_sweep() -> None:
    assert [len(expand(parse_sweep(read_yaml(p.read_text()))).cells) for p in sorted(EXAMPLES.iterdir())] == [8, 144]
