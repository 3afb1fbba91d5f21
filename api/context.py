"""What every request may use: the settings, the record, the queue of hints, the drawn pictures, who watches what."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

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
    hints: Hints
    pictures: Pictures
    watch: Watch

    def close(self) -> None:
        """Close every connection."""
        self.hints.close()
        self.database.dispose()


async def _context(request: Request) -> Context:
    return request.app.state.context


# As a parameter of an endpoint.
Service = Annotated[Context, Depends(_context)]


def current(app: object) -> Context | None:
    """The context of a running application; None before it runs."""
    return getattr(getattr(app, "state", None), "context", None)
