"""Several experiments beside each other: what differs in their specs, what came out, and plots of all of them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api import models
from api.context import Service
from api.parameters import checked_id
from api.web.rendering import page
from ncmix.jobs import queries
from ncmix.plots import FORMATS, PLOTS
from ncmix.spec import BESIDE

router = APIRouter(include_in_schema=False)

# What the table shows of the end, where it was measured.
OUTCOMES = (
    ("train", "nc1"), ("train", "nc2_angles"), ("train", "nc3"), ("test", "nc4"), ("train", "mix_amplification"),
    ("train", "accuracy"), ("test", "accuracy"),
)  # fmt: skip
_OFFERED = 20


class Comparison(BaseModel):
    """What is compared, and how."""

    model_config = ConfigDict(extra="forbid")

    id: list[Annotated[str, Field(max_length=20)]] = Field([], max_length=200)
    plot: list[str] = Field([], max_length=20)
    group_by: str = Field("", pattern=r"^[A-Za-z0-9_., ]{0,200}$")
    how: Literal["together", "apart"] = "together"

    @property
    def plots(self) -> list[str]:
        """The plots that are drawn, each once; names that are none are left out."""
        return [name for name in PLOTS if name in (self.plot or ("nc", "curves"))]


@dataclass(frozen=True)
class Drawing:
    """A plot of some of the experiments; `query` asks for exactly that at its address."""

    name: str
    title: str
    of: str
    ids: str
    query: str


@router.get("/compare")
def compare_page(asked: Annotated[Comparison, Query()], service: Service, request: Request) -> Response:
    """Experiments compared, or those that could be."""
    ids = list(dict.fromkeys(checked_id(word) for word in asked.id))
    with service.database.reading() as session:
        chosen = [models.Experiment.of(row) for row in queries.several(session, ids)]
        offered = [models.Experiment.of(row) for row in queries.listing(session, limit=_OFFERED).items]
    fields = differing([e.spec for e in chosen])
    return page(
        request,
        "compare.html",
        asked=asked,
        chosen=chosen,
        others=[e for e in offered if e.id not in ids],
        fields=fields,
        outcomes=[(s, n) for s, n in OUTCOMES if any(n in e.latest.get(s, {}) for e in chosen)],
        drawings=list(_drawings(asked, chosen)),
        plots=PLOTS,
        formats=FORMATS,
    )


def differing(specs: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """The fields of the science in which specs differ, by path, with the value in each; None where it has none."""
    flat = [dict(_flat(spec)) for spec in specs]
    paths = dict.fromkeys(path for one in flat for path in one)
    values = {path: [one.get(path) for one in flat] for path in paths if path.partition(".")[0] not in BESIDE}
    return {path: found for path, found in values.items() if any(value != found[0] for value in found)}


def _flat(spec: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in spec.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _drawings(asked: Comparison, chosen: Sequence[models.Experiment]) -> Iterator[Drawing]:
    """Every plot of all together, or of each by itself."""
    sets = [chosen] if asked.how == "together" else [[e] for e in chosen]
    for name in asked.plots if chosen else ():
        for some in sets:
            ids = ",".join(e.id for e in some)
            grouped = {"group_by": asked.group_by} if asked.group_by and asked.how == "together" else {}
            of = "" if len(some) > 1 else some[0].title
            yield Drawing(name, PLOTS[name].description, of, ids, urlencode({"ids": ids, **grouped}, safe=","))
