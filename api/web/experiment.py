"""One experiment: how far it is, its plots, its log, what happened to it, and what can be asked of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request, Response

from api import models
from api.context import Service
from api.parameters import ExperimentId
from api.web.rendering import page
from api.web.snippets import snippets, to_yaml
from ncmix.glossary import METRICS
from ncmix.jobs import queries, runs, tables
from ncmix.jobs.following import Cursor
from ncmix.jobs.states import FINAL, HELD, State
from ncmix.plots import FORMATS, PLOTS, Plot

router = APIRouter(prefix="/experiments/{id}", include_in_schema=False)

# Of a long log the end is shown; the rest is a link away.
_LOG_BYTES = 64 * 2**10

# Events that are seen elsewhere, and would be hundreds.
_COUNTED = ("epoch",)

# What is looked at first while it runs; the others follow in their own order.
_FIRST = ("curves", "nc")


@dataclass(frozen=True)
class Chart:
    """A plot on the page; `epochs` are those it can be had of, None where it shows all of them at once."""

    name: str
    title: str
    epochs: list[int] | None


@dataclass(frozen=True)
class Measured:
    """The newest values of a metric by split, and what it is."""

    name: str
    meaning: str
    values: dict[str, float | None]


@router.get("")
def experiment_page(experiment_id: ExperimentId, service: Service, request: Request) -> Response:
    """An experiment, all of it."""
    with service.database.reading() as session:
        row = queries.get(session, experiment_id)
        kept = runs.epochs(session, experiment_id)
        start = max(0, row.log_bytes - _LOG_BYTES)
        last = queries.last_event(session, experiment_id)
        log = queries.log(session, experiment_id, start, _LOG_BYTES)
        happened = queries.events(session, experiment_id, without=_COUNTED)
    return page(
        request,
        "experiment.html",
        charts=[_chart(name, plot, kept) for name, plot in sorted(PLOTS.items(), key=_order)],
        formats=FORMATS,
        log=log.data.decode(errors="replace"),
        log_start=start,
        log_end=log.next_offset,
        seen=Cursor(last, row.step, log.next_offset),
        yaml=to_yaml(row.spec),
        snippets=snippets(row.spec, str(request.base_url).rstrip("/")),
        **_status(row, happened),
    )


@router.get("/status")
def experiment_status(experiment_id: ExperimentId, service: Service, request: Request) -> Response:
    """What changes while it runs: state, progress, newest values, events, what can be asked."""
    with service.database.reading() as session:
        row = queries.get(session, experiment_id)
        happened = queries.events(session, experiment_id, without=_COUNTED)
    return page(request, "status.html", **_status(row, happened))


def _status(row: tables.Experiment, happened: Sequence[tables.Event]) -> dict[str, Any]:
    """What the template of the status needs."""
    return {
        "e": models.Experiment.of(row),
        "live": row.state not in FINAL,
        "measured": measured(row.latest),
        "events": [(models.instant(event.at), event) for event in happened],
        "possible": possible(row.state),
    }


def _chart(name: str, plot: Plot, kept: Mapping[str, list[int]]) -> Chart:
    # The grid shows epochs side by side.
    one_epoch = plot.set and name != "last-layer-grid"
    return Chart(name, plot.description, kept.get(plot.set, []) if one_epoch else None)


def _order(plot: tuple[str, Plot]) -> int:
    name, _ = plot
    return _FIRST.index(name) if name in _FIRST else len(_FIRST)


def possible(state: State) -> list[str]:
    """What can be asked of an experiment in this state, by the last word of its address."""
    asked: dict[State, list[str]] = {
        "queued": ["pause", "cancel"],
        "running": ["pause", "cancel"],
        "pausing": ["resume", "cancel"],
        "paused": ["resume", "cancel"],
        "cancelling": [],
        "succeeded": ["extend"],
        "failed": ["retry"],
        "cancelled": ["retry"],
    }
    return asked[state] + ([] if state in HELD else ["delete"])


def measured(latest: dict[str, dict[str, float | None]]) -> list[Measured]:
    """The newest values by metric, in the glossary's order; what the glossary does not know comes last."""
    names = {name for values in latest.values() for name in values}
    order = [*(n for n in METRICS if n in names), *sorted(names - METRICS.keys())]
    return [
        Measured(
            name,
            METRICS[name].definition if name in METRICS else "",
            {split: values[name] for split, values in latest.items() if name in values},
        )
        for name in order
    ]
