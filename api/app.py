"""The application: its routes, its errors, its description, and what opens and closes with it."""

import asyncio
import gc
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic.json_schema import models_json_schema

from api import models, problems
from api.bodies import BodyLimit, Extension
from api.context import Context
from api.gate import Gate
from api.headers import Headers
from api.routes import assets, docs, experiments, health, login, plots, results, vocabulary
from ncmix import __version__
from ncmix.jobs import duties
from ncmix.jobs.heartbeat import Heartbeat
from ncmix.jobs.settings import Settings
from ncmix.plots import warm
from ncmix.spec import Spec

_JOIN_SECONDS = 5.0
_REF = "#/components/schemas/{model}"
_ROUTERS = (
    experiments.router,
    results.router,
    plots.router,
    vocabulary.router,
    health.router,
    login.router,
    docs.router,
    assets.router,
)


def create(settings: Settings) -> FastAPI:
    """The service of these settings. The schema must be there: migrating is a step of its own."""
    app = FastAPI(
        title="ncmix",
        summary="How does neural collapse change when a network is trained with mixup?",
        description="Submit an experiment, follow it, and get its neural-collapse metrics as JSON, CSV and pictures.",
        version=__version__,
        lifespan=_lifespan,
        docs_url=None,
        redoc_url=None,
        generate_unique_id_function=_operation_id,
        responses=problems.responses(500),
        license_info={"name": "MIT", "identifier": "MIT"},
    )
    app.state.settings = settings
    # Those that FastAPI itself has made.
    addresses = list(app.routes)
    for router in _ROUTERS:
        app.include_router(router)
    app.state.addresses = [*addresses, *(route for router in _ROUTERS for route in router.routes)]
    problems.install(app, app.state.addresses)
    # The last is the first that a request meets.
    for middleware in (BodyLimit, Gate, Headers):
        app.add_middleware(middleware)
    app.openapi = lambda: _openapi(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    context = Context.of(settings)
    app.state.context = context
    # The first picture shall not wait a second for matplotlib; nor shall the first request of anything.
    warming = asyncio.create_task(asyncio.to_thread(_warm))
    heartbeat = Heartbeat(settings.heartbeat_dir, "api")
    name, stopping = f"{socket.gethostname()}:{os.getpid()}:api", threading.Event()

    def reap() -> None:
        # Also here: when every worker is dead, somebody has to say so.
        duties.reap(context.database, settings, name)
        heartbeat.beat()

    reaping = duties.every(settings.reap_seconds, reap, stopping)
    try:
        yield
    finally:
        stopping.set()
        reaping.join(_JOIN_SECONDS)
        await warming
        context.close()


def _warm() -> None:
    warm()
    # What was imported stays: the collector of garbage need not look through it again while a picture waits.
    gc.freeze()


def _operation_id(route: APIRoute) -> str:
    return route.name


def _openapi(app: FastAPI) -> dict[str, Any]:
    """FastAPI's description, with what it cannot see: the spec in a body, the problem in every error."""
    if app.openapi_schema is None:
        described = get_openapi(
            title=app.title,
            version=app.version,
            openapi_version=app.openapi_version,
            summary=app.summary,
            description=app.description,
            routes=app.routes,
            license_info=app.license_info,
        )
        _, found = models_json_schema(
            [(model, "validation") for model in (Spec, Extension, problems.Problem, models.PlotData)],
            ref_template=_REF,
        )
        described["components"]["schemas"].update(found["$defs"])
        _drop_other_errors(described)
        app.openapi_schema = described
    return app.openapi_schema


def _drop_other_errors(described: dict[str, Any]) -> None:
    """Remove FastAPI's own form of a 422, which is never sent."""
    for name in ("HTTPValidationError", "ValidationError"):
        described["components"]["schemas"].pop(name, None)
    for operation in (o for path in described["paths"].values() for o in path.values()):
        if "application/json" in operation["responses"].get("422", {}).get("content", {}):
            del operation["responses"]["422"]
