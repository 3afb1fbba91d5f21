"""What every request may use: settings, record, queue of hints, pictures, who watches what, meters, who is who."""

from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import Depends, Request

from api.glances import Glances
from api.guard import Guard
from api.limiter import Limiter
from api.meters import Meters
from api.pictures import Pictures
from api.watching import Watch
from ncmix.jobs.database import Database
from ncmix.jobs.queue import Hints
from ncmix.jobs.settings import Settings


@dataclass(frozen=True)
class Context:
    """The parts of a running service; one for the process."""

    settings: Settings
    database: Database
    glances: Glances
    hints: Hints
    pictures: Pictures
    watch: Watch
    meters: Meters
    guard: Guard
    limiter: Limiter

    @classmethod
    def of(cls, settings: Settings, meters: Meters) -> Self:
        """The parts that these settings describe."""
        database = Database.of(settings)
        watch = Watch(database, settings.stream_seconds)
        return cls(
            settings,
            database,
            Glances(database),
            Hints(settings),
            Pictures(),
            watch,
            meters,
            Guard(database),
            Limiter(settings),
        )

    def close(self) -> None:
        """Close every connection."""
        self.hints.close()
        self.glances.close()
        self.database.dispose()


async def _context(request: Request) -> Context:
    return request.app.state.context


# As a parameter of an endpoint.
Service = Annotated[Context, Depends(_context)]


def current(app: object) -> Context | None:
    """The context of a running application; None before it runs."""
    return getattr(getattr(app, "state", None), "context", None)
