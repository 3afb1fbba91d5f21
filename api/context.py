"""What every request may use: the settings, the record, the queue of hints, the drawn pictures, who is who."""

from dataclasses import dataclass
from typing import Annotated, Self

from fastapi import Depends, Request

from api.guard import Guard
from api.limiter import Limiter
from api.pictures import Pictures
from ncmix.jobs.database import Database
from ncmix.jobs.queue import Hints
from ncmix.jobs.settings import Settings


@dataclass(frozen=True)
class Context:
    """The parts of a running service; one for the process."""

    settings: Settings
    database: Database
    hints: Hints
    pictures: Pictures
    guard: Guard
    limiter: Limiter

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The parts that these settings describe."""
        database = Database(settings.database_url)
        return cls(settings, database, Hints(settings), Pictures(), Guard(database), Limiter(settings))

    def close(self) -> None:
        """Close every connection."""
        self.hints.close()
        self.database.dispose()


async def _context(request: Request) -> Context:
    return request.app.state.context


# As a parameter of an endpoint.
Service = Annotated[Context, Depends(_context)]
