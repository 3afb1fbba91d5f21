"""What can be asked for: the closed vocabulary, and the presets, which can be submitted by name."""

from typing import Annotated, get_args

from fastapi import APIRouter, BackgroundTasks, Query, Response
from sqlalchemy.orm import Session

from api import models, problems
from api.context import Service
from api.once import OnlyOnce, Reply
from api.parameters import SubmitPreset
from ncmix import presets
from ncmix.glossary import METRICS
from ncmix.jobs import lifecycle
from ncmix.jobs.queue import queue_of
from ncmix.jobs.states import State
from ncmix.plots import FORMATS, PLOTS, THEMES
from ncmix.spec import VOCABULARY, Part, Spec

router = APIRouter(prefix=models.ROOT, tags=["vocabulary"])


@router.get("/vocabulary")
def get_vocabulary(service: Service) -> models.Vocabulary:
    """Everything that a spec can say here, what every metric means, and which plots there are."""
    return models.Vocabulary(
        parts={axis: [_kind(name, part) for name, part in kinds.items()] for axis, kinds in VOCABULARY.items()},
        image_folders=sorted(service.settings.data.folders),
        spec=Spec.model_json_schema(),
        states=list(get_args(State)),
        metrics=[
            models.MetricDefinition(name=name, definition=entry.definition, source=entry.source)
            for name, entry in METRICS.items()
        ],
        plots=[models.PlotDescription(name=n, description=models.first_sentence(p.__doc__)) for n, p in PLOTS.items()],
        formats=list(FORMATS),
        themes=list(THEMES),
    )


def _kind(name: str, part: type[Part]) -> models.Kind:
    return models.Kind(
        kind=name, description=" ".join((part.__doc__ or "").split()), parameters=part.model_json_schema()
    )


@router.get("/presets")
def list_presets() -> models.Presets:
    """Published recipes and demonstrations, with every experiment they make."""
    return models.Presets(items=[models.PresetView.of(presets.load(name)) for name in presets.names()])


@router.post(
    "/presets/{name}",
    status_code=201,
    response_model=models.SubmittedPreset,
    responses={
        200: {"description": "All of them are on record already.", "model": models.SubmittedPreset},
        **problems.responses(404, 409, 422, 503),
    },
)
def submit_preset(
    name: str, how: Annotated[SubmitPreset, Query()], service: Service, once: OnlyOnce, tasks: BackgroundTasks
) -> Response:
    """Queue every experiment of a preset, all or none; those there are already are given as they stand."""
    specs = presets.load(name, how.scale).specs

    def work(session: Session) -> Reply:
        submitted = [
            lifecycle.submit(session, spec, queue_of(spec, service.settings), rerun=how.rerun) for spec in specs
        ]
        for queue in sorted({s.experiment.queue for s in submitted if s.created}):
            tasks.add_task(service.hints.wake, queue)
        shown = models.SubmittedPreset(items=[models.Experiment.of(s.experiment) for s in submitted])
        return Reply(201 if any(s.created for s in submitted) else 200, shown)

    return once.answer(service.database, work)
