"""The list of experiments, and its rows alone, which the page asks for again and again."""

from dataclasses import dataclass
from typing import Annotated, Any, get_args

from fastapi import APIRouter, Query, Request, Response
from pydantic import model_validator

from api import models
from api.context import Service
from api.parameters import Listing
from api.web.rendering import page
from ncmix.jobs import queries
from ncmix.jobs.states import State
from ncmix.spec import VOCABULARY

router = APIRouter(include_in_schema=False)

FILTERED = ("dataset", "model", "loss", "mix")


class Wanted(Listing):
    """Which experiments are listed. A form sends what was left open as an empty word."""

    @model_validator(mode="before")
    @classmethod
    def _given(cls, data: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in data.items() if value != ""}


@dataclass(frozen=True)
class Shown:
    """A page of the list: its rows, the query of this page and of the next, and what can be chosen."""

    items: list[models.Experiment]
    wanted: Wanted
    query: str
    following: str | None
    choices: dict[str, list[str]]

    @property
    def filtered(self) -> bool:
        """Whether some experiments may be hidden."""
        return any(getattr(self.wanted, name) for name in (*FILTERED, "state", "tag", "sweep"))


@router.get("/")
def list_page(wanted: Annotated[Wanted, Query()], service: Service, request: Request) -> Response:
    """Experiments, newest first, with filters."""
    return page(request, "list.html", shown=_shown(wanted, service, request))


@router.get("/rows")
def list_rows(wanted: Annotated[Wanted, Query()], service: Service, request: Request) -> Response:
    """The table of the list, as it is now."""
    return page(request, "rows.html", shown=_shown(wanted, service, request))


def _shown(wanted: Wanted, service: Service, request: Request) -> Shown:
    with service.database.reading() as session:
        oldest = wanted.order == "oldest"
        found = queries.listing(session, wanted.filters, wanted.limit, wanted.cursor, oldest_first=oldest)
    following = request.url.include_query_params(cursor=found.next_cursor).query if found.next_cursor else None
    choices = {"state": list(get_args(State)), **{axis: list(VOCABULARY[axis]) for axis in FILTERED}}
    return Shown([models.Experiment.of(e) for e in found.items], wanted, request.url.query, following, choices)
