"""The real application on a real database, and experiments as a worker would have left them."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from fastapi.testclient import TestClient

from api.app import create
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from tests.api.lives import Lives


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    """A client of the service; what would be a 500 is answered, not raised."""
    with TestClient(create(settings), base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def lives(database: Database, settings: Settings) -> Lives:
    """What workers do to experiments, by hand."""
    return Lives(database, settings)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As everywhere, but leases that a slow test lets run out are left alone."""
    return replace(settings, reap_seconds=3600.0)
