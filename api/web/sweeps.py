"""Sweeps: their list, and one of them as a heat map, a table and plots of means."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from api.bodies import Expanded
from api.context import Service
from api.routes.sweeps import plan
from api.sweep_models import SweepMatrix, SweepPlan, SweepRecord
from api.sweep_parameters import SweepId, SweepListing
from api.web import words
from api.web.rendering import page
from api.web.snippets import to_yaml
from ncmix.glossary import METRICS
from ncmix.jobs import progress, sweep_tables, sweeps
from ncmix.jobs.states import FINAL
from ncmix.plots import FORMATS, PLOTS
from ncmix.spec import SpecError, SweepError, expand, parse_sweep, read_yaml

router = APIRouter(prefix="/sweeps", include_in_schema=False)

# What the table of groups shows.
_COLUMNS = (
    ("test", "accuracy"), ("train", "nc1"), ("test", "nc1"), ("train", "nc2_angle_means"), ("train", "nc3"),
    ("train", "mix_amplification"),
)  # fmt: skip
_DRAWN = ("nc", "curves")
# Of the heat map's colour, from none to full.
SHADES = 10


class View(BaseModel):
    """What of a sweep is shown in the heat map."""

    model_config = ConfigDict(extra="forbid")

    metric: str = Field("nc1", pattern=r"^[a-z0-9_]{1,64}$")
    split: Literal["train", "test"] = "train"
    rows: str = Field("", max_length=200)
    columns: str = Field("", max_length=200)


@dataclass(frozen=True)
class HeatMap:
    """A metric by two fields, and of each place how strong its colour is; None where nothing came out yet."""

    matrix: SweepMatrix
    shades: list[list[int | None]]


class Written(BaseModel):
    """A sweep as somebody is writing it, in YAML."""

    text: str = Field(max_length=2**18)


class Read(BaseModel):
    """What is written: the definition to submit, what it makes, or what is wrong with it."""

    definition: Any = None
    wrong: list[str] = []
    facts: list[str] = []


@router.get("")
def list_page(which: Annotated[SweepListing, Query()], service: Service, request: Request) -> Response:
    """Sweeps, newest first."""
    with service.database.reading() as session:
        found = sweeps.listing(session, which.limit, which.cursor)
        far = progress.of(session, [sweep.id for sweep in found.items])
    return page(
        request,
        "sweeps.html",
        sweeps=[SweepRecord.of(sweep, far[sweep.id]) for sweep in found.items],
        following=found.next_cursor,
        cursor=which.cursor,
    )


@router.get("/{id}")
def sweep_page(sweep_id: SweepId, view: Annotated[View, Query()], service: Service, request: Request) -> Response:
    """A sweep, all of it."""
    with service.database.reading() as session:
        shown = _shown(session, sweep_id, view)
    drawn = [(name, PLOTS[name].description) for name in _DRAWN]
    return page(request, "sweep.html", query=request.url.query, drawn=drawn, formats=FORMATS, **shown)


@router.get("/{id}/results")
def sweep_results(sweep_id: SweepId, view: Annotated[View, Query()], service: Service, request: Request) -> Response:
    """What changes while a sweep runs."""
    with service.database.reading() as session:
        shown = _shown(session, sweep_id, view)
    return page(request, "results.html", **shown)


@router.post("/read")
def read_sweep(written: Written, service: Service) -> Read:
    """What is written, read. What is wrong with it is no error here: somebody is still writing."""
    try:
        definition = read_yaml(written.text)
        sweep = parse_sweep(definition)
        found = plan(service, Expanded(sweep, expand(sweep)))
    except SweepError as error:
        return Read(
            wrong=[f"{p.pointer.strip('/').replace('/', '.')}: {p.message}".strip(": ") for p in error.problems]
        )
    except SpecError as error:
        return Read(wrong=[str(error)])
    return Read(definition=definition, facts=_facts(found))


def _shown(session: Session, sweep_id: str, view: View) -> dict[str, Any]:
    row = sweeps.get(session, sweep_id)
    record = SweepRecord.of(row, progress.of(session, [sweep_id])[sweep_id])
    varied = sweep_tables.varied(session, sweep_id)
    splits = tuple(dict.fromkeys(split for split, _ in _COLUMNS))
    names = tuple(dict.fromkeys(name for _, name in _COLUMNS))
    table = sweep_tables.table(session, sweep_id, names, splits)
    return {
        "s": record,
        "live": any(state not in (*FINAL, "paused", "missing") for state in record.states),
        "view": view,
        "varied": varied,
        "metrics": list(METRICS),
        "table": table,
        "outcomes": [(s, n) for s, n in _COLUMNS if any(g.metrics[s][n].n for g in table.groups)],
        "heat": _heat(session, sweep_id, view, varied),
        "yaml": to_yaml(record.definition),
    }


def _heat(session: Session, sweep_id: str, view: View, varied: Sequence[str]) -> HeatMap | None:
    """The metric by the two fields asked for, or else by the first two that vary; None where but one does."""
    rows = view.rows or (varied[0] if varied else "")
    columns = view.columns or next((path for path in varied if path != rows), "")
    if not rows or not columns:
        return None
    fields = list(dict.fromkeys((rows, columns)))
    table = sweep_tables.table(session, sweep_id, [view.metric], [view.split], by=fields)
    matrix = SweepMatrix.of(table, view.metric, view.split)
    return HeatMap(matrix, shades([[value and value.mean for value in row] for row in matrix.values]))


def shades(values: Sequence[Sequence[float | None]]) -> list[list[int | None]]:
    """How strong the colour of each value is, from 0 to SHADES - 1; by decades where there are several."""
    known = [value for row in values for value in row if value is not None]
    low, high = (min(known), max(known)) if known else (0.0, 0.0)
    decades = low > 0 and high >= 10 * low

    def shade(value: float) -> int:
        if high == low:
            return 0
        share = math.log(value / low) / math.log(high / low) if decades else (value - low) / (high - low)
        return round(share * (SHADES - 1))

    return [[None if value is None else shade(value) for value in row] for row in values]


def _facts(plan: SweepPlan) -> list[str]:
    """What it makes and takes, in words."""
    facts = [f"{plan.cells} cells: {plan.made} new, {plan.shared} on record", f"varies {', '.join(plan.fields)}"]
    if plan.estimate.seconds is not None:
        facts.append(f"about {words.duration(plan.estimate.seconds)} of training, one after the other")
    if plan.estimate.feature_bytes:
        facts.append(f"keeps about {words.size(plan.estimate.feature_bytes)} of features")
    return [fact for fact in facts if not fact.endswith("varies ")]
