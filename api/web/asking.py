"""Asking for experiments: the form, what it means while it is filled in, and the presets."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from api import problems
from api.context import Context, Service
from api.parameters import PresetScale, checked_id
from api.routes.specs import ReadSpec, understood
from api.web import form, words
from api.web.rendering import page
from api.web.snippets import snippets
from ncmix import presets
from ncmix.jobs import queries
from ncmix.spec import Spec, parse
from ncmix.spec import problems as problems_of

router = APIRouter(include_in_schema=False)

_START: dict[str, Any] = {"dataset": "digits", "model": "mlp", "mix": "mixup", "epochs": 100}


class Start(PresetScale):
    """What the form is filled with: an experiment's spec, or the `run`-th of a preset."""

    source: str | None = Field(None, alias="from")
    preset: str | None = None
    run: int = Field(1, ge=1, le=10_000)


class Wrong(BaseModel):
    """Something wrong with a field, in a sentence; the path is empty where it is the whole."""

    path: str
    detail: str


class Checked(BaseModel):
    """What the form means: the spec to submit, or what is wrong; and the same to copy."""

    model_config = ConfigDict(extra="forbid")

    spec: dict[str, Any]
    wrong: list[Wrong] = []
    title: str = ""
    facts: list[str] = []
    standing: str | None = None
    snippets: dict[str, str] = {}


@router.get("/new")
def new_page(start: Annotated[Start, Query()], service: Service, request: Request) -> Response:
    """The form for a new experiment."""
    spec = _start(start, service)
    return page(request, "new.html", form=form.form(spec), start=start, folders=sorted(service.settings.data.folders))


@router.post("/new/check")
def check(given: Annotated[dict[str, str], Body()], service: Service, request: Request) -> Checked:
    """What the words in the form mean. What is wrong with them is no error here: somebody is still writing."""
    spec, unreadable = form.read(given)
    wrong = [Wrong(path=path, detail=detail) for path, detail in unreadable.items()]
    try:
        read = understood(Spec.model_validate(spec), service)
    except ValidationError as error:
        found = [Wrong(path=_path(p.pointer), detail=p.message) for p in problems_of(error)]
        return Checked(spec=spec, wrong=wrong + found)
    except problems.ProblemError as error:
        found = [Wrong(path=_path(e.pointer), detail=e.detail) for e in error.problem.errors]
        return Checked(spec=spec, wrong=wrong + found)
    return Checked(
        spec=spec,
        wrong=wrong,
        title=read.title,
        facts=_facts(read),
        standing=read.experiment and read.experiment.id,
        snippets={s.name: s.text for s in snippets(read.spec, str(request.base_url).rstrip("/"))},
    )


@router.get("/presets")
def presets_page(at: Annotated[PresetScale, Query()], request: Request) -> Response:
    """Published recipes and demonstrations."""
    shown = [presets.load(name, at.scale) for name in presets.names()]
    counts = {
        name: {scale: len(presets.load(name, scale).specs) for scale in presets.SCALES} for name in presets.names()
    }
    return page(request, "presets.html", presets=shown, scale=at.scale, counts=counts)


def _start(start: Start, service: Context) -> Mapping[str, Any]:
    if start.source:
        with service.database.reading() as session:
            return queries.get(session, checked_id(start.source)).spec
    if start.preset:
        specs: Sequence[Spec] = presets.load(start.preset, start.scale).specs
        if start.run > len(specs):
            detail = f"The preset {start.preset} has no experiment {start.run}; it has 1 to {len(specs)}."
            raise problems.ProblemError(problems.problem(404, "not-found", detail))
        return specs[start.run - 1].model_dump(mode="json")
    return parse(_START).model_dump(mode="json")


def _path(pointer: str) -> str:
    """A JSON Pointer as the dotted path of a field of the form: what is wrong inside a list is wrong with the field."""
    return ".".join(step for step in pointer.strip("/").split("/") if not step.isdecimal())


def _facts(read: ReadSpec) -> list[str]:
    """What it takes, in words."""
    times = len(read.measured_epochs)
    facts = [f"waits in the queue {read.queue}", f"measured {times} time{'s' if times > 1 else ''}"]
    if read.steps is not None:
        facts.append(f"{read.steps:,} steps".replace(",", "\u202f"))
    if read.feature_bytes:
        facts.append(f"keeps about {words.size(read.feature_bytes)} of features")
    return facts
