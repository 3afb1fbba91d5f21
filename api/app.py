"""The application: its routes, its errors, its description, and what opens and closes with it."""

import asyncio
import gc
import os
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.routing import APIRoute

from api import handlers, problems
from api.bodies import BodyLimit
from api.context import Context
from api.description import describe
from api.gate import Gate
from api.headers import Headers
from api.meters import Latencies, Meters
from api.routes import (
    assets,
    experiments,
    exports,
    features,
    health,
    login,
    meters,
    plots,
    results,
    specs,
    stream,
    sweeps,
    vocabulary,
)
from api.web import asking, comparing, experiment, figures, files, listing, reference
from api.web import sweeps as sweep_pages
from api.web.rendering import failure
from ncmix import __version__
from ncmix.jobs import duties
from ncmix.jobs.heartbeat import Heartbeat
from ncmix.jobs.settings import Settings
from ncmix.plots import warm

_JOIN_SECONDS = 5.0
_ROUTERS = (
    experiments.router,
    specs.router,
    results.router,
    features.router,
    exports.router,
    stream.router,
    plots.router,
    sweeps.router,
    vocabulary.router,
    health.router,
    login.router,
    meters.router,
    assets.router,
    # The web page.
    listing.router,
    experiment.router,
    comparing.router,
    asking.router,
    sweep_pages.router,
    reference.router,
    figures.router,
    files.router,
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
    handlers.install(app, app.state.addresses, failure)
    app.state.meters = Meters()
    # The last is the first that a request meets.
    for middleware in (BodyLimit, Gate, Headers):
        app.add_middleware(middleware)
    app.add_middleware(Latencies, meters=app.state.meters)
    app.openapi = lambda: describe(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    meters: Meters = app.state.meters
    context = Context.of(settings, meters)
    meters.follow(context.database, settings)
    watch = context.watch
    app.state.context = context
    # The first picture shall not wait a second for matplotlib; nor shall the first request of anything.
    warming = asyncio.create_task(asyncio.to_thread(_settle, settings.warm))
    heartbeat = Heartbeat(settings.heartbeat_dir, "api")
    name, stopping = f"{socket.gethostname()}:{os.getpid()}:api", threading.Event()

    def reap() -> None:
        # Also here: when every worker is dead, somebody has to say so.
        duties.reap(context.database, settings, name)
        heartbeat.beat()

    def keep() -> None:
        # And here, so that what is deleted gives back its room while no worker runs.
        duties.keep(context.database, settings, name)

    on_duty = [
        duties.every(settings.reap_seconds, reap, stopping),
        duties.every(duties.KEEP_SECONDS, keep, stopping),
    ]
    watching = asyncio.create_task(watch.run())
    try:
        yield
    finally:
        stopping.set()
        watch.end()
        await watching
        for thread in on_duty:
            thread.join(_JOIN_SECONDS)
        await warming
        context.close()


def _settle(drawing: bool) -> None:
    if drawing:
        warm()
    # What was imported stays: the collector of garbage need not look through it again while a picture waits.
    gc.freeze()


def _operation_id(route: APIRoute) -> str:
    return route.name
