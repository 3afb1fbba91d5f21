"""What is sent to the database, to be counted."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, event

from ncmix.jobs.database import Database


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    """The statements that the test sends."""
    seen: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)
