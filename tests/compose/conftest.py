"""One stack for all tests of the containers: building and starting it takes most of their time."""

import json
from collections.abc import Iterator

import pytest

from ncmix.client import Client
from tests.compose.stack import Stack


@pytest.fixture(scope="session")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack, built and started; the times it took are printed in the end."""
    stack = Stack()
    stack.timed("build", "build")
    with stack:
        yield stack
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        seconds = {what: round(value, 1) for what, value in stack.times.items()}
        print(json.dumps({"seconds": seconds, "megabytes": stack.sizes}, indent=1))  # noqa: T201


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """A client with the first key."""
    with stack.client() as client:
        yield client
