"""Workers of another host: a project of its own, on a network of its own, that reaches nothing but published ports."""

import json
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path

import pytest

from ncmix.client import Client
from tests.compose.stack import ROOT, Project, Stack, docker, documented
from tests.compose.test_stack import LONG, workers
from tests.servers import free_port

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]


@pytest.fixture
def opened(stack: Stack, tmp_path: Path) -> Iterator[Path]:
    """The folder of the operator once database and queue are published, as docs/operations.md has it."""
    here, _ = documented("**On other hosts.**")
    shared = tmp_path / "checkpoints"
    shared.mkdir()
    shared.chmod(0o777)
    address = _of_this_machine()
    stack.environment |= {"NCMIX_DB_PORT": str(free_port()), "NCMIX_BROKER_PORT": str(free_port())}
    here = here.replace("10.0.0.1", address).replace("/shared/checkpoints", str(shared))
    stack.shell(here.replace("-f docker", f"-f {ROOT}/docker"), tmp_path)
    yield tmp_path
    stack.compose("up", "-d", "--wait")


def _of_this_machine() -> str:
    """Its address on Docker's own bridge, reached from containers of every network: the first, if none is told.

    An engine that has made the bridge itself does not tell it before its next start.
    """
    (told,) = json.loads(docker("network", "inspect", "bridge"))[0]["IPAM"]["Config"]
    return told.get("Gateway") or str(next(ip_network(told["Subnet"]).hosts()))


@pytest.fixture
def elsewhere(stack: Stack, opened: Path) -> Iterator[str]:
    """The name of the other host's project, with its worker healthy."""
    _, there = documented("**On other hosts.**")
    project = f"{stack.project}-elsewhere"
    given = {"COMPOSE_PROJECT_NAME": project, "NCMIX_SECRETS": str(opened / "secrets")}
    given["NCMIX_CHECKPOINTS"] = str(opened / "checkpoints")
    host = Project(stack.environment | given)
    script = there.replace("/shared/checkpoints", given["NCMIX_CHECKPOINTS"])
    host.shell(script.replace("-f docker", f"-f {ROOT}/docker"), opened)
    yield project
    host.compose("-f", "docker-compose.worker.yml", "down", "-v", "-t", "5")


def test_a_worker_elsewhere_takes_the_work(stack: Stack, client: Client, opened: Path, elsewhere: str):
    stack.compose("stop", "worker")
    made = client.submit({**LONG, "epochs": 4, "measure": {"epochs": [4]}, "seed": 20}).id
    assert stack.ended(client, made).state == "succeeded"
    inside = docker("ps", "-q", "--filter", f"label=com.docker.compose.project={elsewhere}").strip()
    (worker,) = workers(stack, made)
    assert worker.startswith(inside)
    assert list((opened / "checkpoints").glob(f"{made}/*"))
