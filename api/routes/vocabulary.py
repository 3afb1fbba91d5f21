"""What can be asked for: the closed vocabulary, and the presets, which can be submitted by name."""

from typing import Annotated, get_args

from fastapi import APIRouter, BackgroundTasks, Query, Response
from fastapi import Path as PathParameter
from sqlalchemy.orm import Session

from api import models, problems
from api.context import Service
from api.once import OnlyOnce, Reply
from api.parameters import PresetScale, SubmitPreset
from ncmix import presets, vocabulary
from ncmix.jobs import lifecycle, room
from ncmix.jobs.queue import queue_of
from ncmix.jobs.states import State

router = APIRouter(prefix=models.ROOT, tags=["vocabulary"])

PresetName = Annotated[
    str, PathParameter(description="As GET /presets lists it.", json_schema_extra={"enum": list(presets.names())})
]


@router.get("/vocabulary", summary="Get the vocabulary")
def get_vocabulary(service: Service) -> models.Vocabulary:
    """Everything that a spec can say here, what every metric means, and which presets and plots there are."""
    return models.Vocabulary(
        **dict(vocabulary.read()), image_folders=sorted(service.settings.data.folders), states=list(get_args(State))
    )


@router.get("/presets", summary="List presets", responses=problems.responses(422))
def list_presets(at: Annotated[PresetScale, Query()]) -> models.Presets:
    """Published recipes and demonstrations, with every experiment they make at a scale."""
    return models.Presets(items=[vocabulary.PresetView.of(presets.load(name, at.scale)) for name in presets.names()])


@router.get("/presets/{name}", summary="Get a preset", responses=problems.responses(404, 422))
def get_preset(name: PresetName, at: Annotated[PresetScale, Query()]) -> vocabulary.PresetView:
    """A published recipe or demonstration, with every experiment it makes at a scale."""
    return vocabulary.PresetView.of(presets.load(name, at.scale))


@router.post(
    "/presets/{name}",
    summary="Submit a preset",
    status_code=201,
    response_model=models.SubmittedPreset,
    responses={
        200: {"description": "All of them are on record already.", "model": models.SubmittedPreset},
        **problems.responses(404, 409, 422, 503, 507),
    },
)
def submit_preset(
    name: PresetName, how: Annotated[SubmitPreset, Query()], service: Service, once: OnlyOnce, tasks: BackgroundTasks
) -> Response:
    """Queue every experiment of a preset, all or none; those there are already are given as they stand."""
    specs = presets.load(name, how.scale).specs

    def work(session: Session) -> Reply:
        wanted = [(spec, queue_of(spec, service.settings)) for spec in specs]
        submitted = lifecycle.submit_all(session, wanted, rerun=how.rerun)
        room.check(session, service.settings)
        tasks.add_task(service.hints.wake_all, [s.experiment.queue for s in submitted if s.created])
        shown = models.SubmittedPreset(items=[models.Experiment.of(s.experiment) for s in submitted])
        return Reply(201 if any(s.created for s in submitted) else 200, shown)

    return once.answer(service.database, work)
