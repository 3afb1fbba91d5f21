"""What Schemathesis is told of our API beside its description: what a file is, and what no schema can say."""

import os
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import schemathesis
from hypothesis import strategies as st

from tests.contract.recorded import FIRST, SECOND

_PARCEL = Path(os.environ["NCMIX_TEST_PARCEL"]).read_bytes()


@st.composite
def _parcels(draw: st.DrawFn) -> bytes:
    """An exported experiment, whole or broken in one place."""
    at = draw(st.integers(0, len(_PARCEL) - 1))
    cut, flipped = _PARCEL[:at], _PARCEL[:at] + bytes([_PARCEL[at] ^ 0xFF]) + _PARCEL[at + 1 :]
    return draw(st.sampled_from([_PARCEL, cut, flipped]))


schemathesis.openapi.media_type("application/zip", _parcels())


@schemathesis.hook
def before_call(ctx: schemathesis.HookContext, case: schemathesis.Case, kwargs: dict[str, Any]) -> None:
    """Leave alone what other cases need, and wait for nothing that does not end."""
    name, found = case.operation.definition.raw["operationId"], case.path_parameters.get("id")
    if name.startswith("delete_") and found in (FIRST, SECOND):
        case.path_parameters["id"] = FIRST[::-1]
    # The stream of an experiment that waits would go on as long as it does.
    if name == "stream_experiment" and re.fullmatch("[0-9a-f]{20}", str(found)) and found not in (FIRST, SECOND):
        case.path_parameters["id"] = SECOND
    # A key is for one request: the same for all would let none but the first through to what is tested.
    if _is_valid(case) and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid4().hex
    # With both nothing would be compared.
    if _is_valid(case) and name == "compare_plots" and {"ids", "sweep"} <= set(case.query):
        del case.query["sweep" if "group_by" in case.query else "ids"]


def _is_valid(case: schemathesis.Case) -> bool:
    return case.meta is not None and case.meta.generation.mode.is_positive


# What makes a request wrong although it fits its schema, in the words in which the problem says it.
_BEYOND_SCHEMA = {
    r"^-?\d+\.0 must be a valid integer\.$|^a milestone is .*, not \d+\.0\.$|^\d+\.0 is neither a number of seeds": (
        "JSON Schema takes 5.0 for an integer, a spec does not: it casts nothing"
    ),
    # One field against another.
    r"is larger than the training data; allowed are": "batch_size against dataset",
    r"is more than the rarest class has; allowed are": "dataset.per_class against dataset.kind",
    r"needs images, but .* has vectors; allowed is mlp": "model against dataset",
    r"cutmix pastes boxes of pictures, but": "mix against dataset",
    r"names a class the data lack; allowed are": "measure.geometry.classes against dataset",
    r"^etf needs \d+ features for": "head against model and dataset",
    r"is trained, but dot_regression needs fixed directions": "head against loss",
    r"is not the square length of the head's rows": "loss.e_w against head.m",
    r"but supcon pairs samples by their one; allowed is none": "mix against loss",
    r"^manifold_mixup mixes after a stage, but a timm model shows none": "mix against model",
    r"^manifold_mixup mixes within the network samples of different devices": "devices against mix",
    r"^supcon contrasts every sample with the whole batch": "devices against loss",
    r"cannot share a batch of": "devices against batch_size",
    r"lies past the end; allowed are 0 to": "measure.epochs against epochs",
    r"is longer than the run; allowed are 0 to": "schedule.warmup_epochs against epochs",
    r"is not before the end; allowed are 1 to": "schedule.milestones against epochs",
    r"does not go past the run it extends": "epochs against extends.epochs",
    r"^nesterov: true needs a momentum above 0": "optimizer.nesterov against optimizer.momentum",
    r"^dim \d+ must be a multiple of heads": "model.dim against model.heads",
    r"^low must (be below|not be above) high": "random.fields: low against high",
    r"^points are given by .* allowed is one of grid, list and random": "one of three, of which an empty one is none",
    r"^the seed is given by .* and by seeds": "seeds against the paths in grid, list and random",
    r"^these are \d+ cells; allowed are up to": "the product of the lengths in grid",
    r"^experiments are named by ids or by sweep": "one of two parameters; OpenAPI judges each by itself",
    r"^a matrix needs rows and columns; only one of them is given": "both parameters or none",
    r"^\d+ experiments are named; allowed are 1 to 20": "up to 200 with group_by, 20 without",
    r"epochs are named; allowed are 1 to \d+ side by side": "epochs, for the grid of pictures alone",
    r"^Mixtures of several runs have no mean": "group_by against the plot",
    r"^The figure is too (narrow|low|small) for|^A picture of [\d,]+ dots is too large": "width, height, dpi",
    # Numbers and names of which a schema would need a list.
    r"is not 4 more than a multiple of 6; allowed near it are": "model.depth",
    r"^timm has no model": "model.name: more than a thousand names",
    r"^There is no image folder": "dataset.name: what the operator has registered",
    # What only reading tells.
    r"is not a cursor; allowed is a next_cursor that a list gave": "cursor: a word of ours",
    r"has characters that cannot be printed": "base, grid, list, random and exclude: any JSON, judged cell by cell",
    r"^this is nested too deeply": "the same",
    r"^Cells? \d": "a cell of a sweep, made of base, point and seed: the rules of a spec, beyond its schema or not",
    r"^The spec cannot be used: |cannot be set: |^This is not YAML": "set: assignments, in YAML, to fields of a spec",
    r"^The file is not a zip that can be read|^The file holds ": "a file is any bytes to a schema",
    # What is on record.
    r"^This sweep does not vary": "rows and columns against the sweep",
    r"^Class \d+ was not mixed by the probe": "classes against the experiment",
    r"^group_by makes \d+ groups": "group_by against the sweep",
    r"^No cell is excluded by this|^No cell is left of this": "exclude and skip_invalid against the cells",
    r"^No spec of these has the field": "group_by against the experiments",
    r"^The set '.*' has no (labels y|array)|^The set '.*' has several arrays": "class and array against the set",
}


@schemathesis.check
def refused_only_for_what_no_schema_says(
    ctx: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case
) -> None:
    """A 422 for a request that fits its schema has a reason that JSON Schema cannot express."""
    if response.status_code != 422 or not _is_valid(case):
        return
    said = response.json()
    sentences = [error["detail"] for error in said["errors"]] or [said["detail"]]
    known = re.compile("|".join(f"(?:{pattern})" for pattern in _BEYOND_SCHEMA))
    sayable = [sentence for sentence in sentences if not known.search(sentence)]
    assert not sayable, f"The schema could have said: {' '.join(sayable)}"
