"""The whole installation in containers, on the CPU: used with curl, then broken in every way that operators meet."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from ncmix.client import Client
from tests.compose.stack import Stack
from tests.servers import wait_for

pytestmark = [pytest.mark.compose, pytest.mark.timeout(600)]

# Some tens of seconds on one core, with a checkpoint now and then.
LONG = {
    "dataset": "digits",
    "model": {"kind": "convnet", "width": 0.5},
    "epochs": 60,
    "measure": {"epochs": [60], "geometry": {"classes": [0, 1, 2], "per_pair": 20}},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def stack(request: pytest.FixtureRequest) -> Iterator[Stack]:
    """The stack, built and started; the times it took are printed in the end."""
    stack = Stack()
    stack.timed("build", "build")
    with stack:
        yield stack
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        print(json.dumps({what: round(seconds, 1) for what, seconds in stack.times.items()}, indent=1))  # noqa: T201


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    """A client with the first key."""
    with stack.client() as client:
        yield client


def attempts(client: Client, experiment: str, stack: Stack) -> list[str]:
    """The workers that have claimed it."""
    events = stack.json(f"/api/v1/experiments/{experiment}/events")["items"]
    return [event["data"]["worker"] for event in events if event["kind"] == "claimed"]


def test_the_first_start_prints_a_key_and_the_second_none(stack: Stack):
    printed = stack.compose("logs", "--no-log-prefix", "key")
    assert printed.count("ncmix_") == 1
    stack.compose("up", "-d", "--wait")
    assert stack.first_key() == stack.key
    for service in ("api", "worker", "db", "broker", "migrate", "secrets"):
        assert stack.key not in stack.compose("logs", service)


def test_nothing_is_reachable_without_the_key_but_health(stack: Stack):
    assert stack.curl("/healthz", key="")[0] == 200
    for path in ("/", "/readyz", "/docs", "/openapi.json", "/metrics", "/api/v1/experiments", "/api/v1/vocabulary"):
        assert stack.curl(path, key="")[0] == 401, path
        assert stack.curl(path, key="ncmix_wrong")[0] in (401, 429), path
    published = [line for line in stack.compose("ps", "--format", "{{.Ports}}").splitlines() if "->" in line]
    assert published == [f"127.0.0.1:{stack.port}->8000/tcp"]


def test_nothing_runs_as_root_or_can_write_to_its_image(stack: Stack):
    for service in ("api", "worker"):
        said = stack.compose(
            "exec", "-T", service, "sh", "-c", "id -u; touch /opt/x 2>&1 || true; grep CapEff /proc/1/status"
        )
        assert said.splitlines()[0] == "10001"
        assert "Read-only file system" in said
        assert said.split()[-1] == "0" * 16


def test_the_command_is_there_whole(stack: Stack):
    for service in ("api", "worker"):
        assert stack.compose("exec", "-T", service, "ncmix", "--version").startswith("ncmix ")
        presets = stack.compose("exec", "-T", service, "ncmix", "presets")
        assert "digits-mixup" in presets


def test_from_curl_to_picture(stack: Stack):
    posted = stack.json("/api/v1/presets/digits-mixup?scale=small", "-X", "POST")["items"]
    for experiment in posted:
        here = f"/api/v1/experiments/{experiment['id']}"
        wait_for(lambda here=here: stack.json(here)["finished_at"], "The end", 240, every=1)
        assert stack.json(here)["state"] == "succeeded"
        assert {row["name"] for row in stack.json(f"{here}/metrics")["items"]} >= {"nc1", "nc2_angle_means", "accuracy"}
        assert stack.curl(f"{here}/plots/last-layer.png")[1].startswith(b"\x89PNG")
    ids = ",".join(experiment["id"] for experiment in posted)
    assert stack.curl(f"/api/v1/compare/plots/nc.png?ids={ids}")[1].startswith(b"\x89PNG")


def test_features_can_be_fetched(stack: Stack, client: Client):
    succeeded = next(client.experiments(state="succeeded"))
    status, body = stack.curl(f"/api/v1/experiments/{succeeded.id}/features")
    if status == 404:
        pytest.skip("there is no such address yet")
    assert json.loads(body)["items"]


def test_a_dump_brings_everything_back(stack: Stack, client: Client):
    before = {experiment.id: experiment.state for experiment in client.experiments()}
    # As docs/operations.md has it.
    stack.compose("exec", "-T", "db", "sh", "-c", "pg_dump -U ncmix -Fc ncmix > /tmp/ncmix.dump")
    stack.compose("stop", "api", "worker")
    stack.compose("exec", "-T", "db", "sh", "-c", "dropdb -U ncmix ncmix && createdb -U ncmix ncmix")
    stack.compose("exec", "-T", "db", "sh", "-c", "pg_restore -U ncmix -d ncmix /tmp/ncmix.dump")
    stack.timed("up after a restore", "up", "-d", "--wait")
    assert {experiment.id: experiment.state for experiment in client.experiments()} == before


def test_a_killed_worker_comes_back_and_goes_on(stack: Stack, client: Client):
    experiment = client.submit({**LONG, "seed": 1}).id
    stack.wait_for_epoch(client, experiment, 10)
    stack.kill("worker")
    ended = stack.ended(client, experiment)
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    assert len(set(attempts(client, experiment, stack))) == 2


def test_broker_and_database_restart_under_a_training(stack: Stack, client: Client):
    experiment = client.submit({**LONG, "seed": 2}).id
    stack.wait_for_epoch(client, experiment, 5)
    stack.timed("restart broker", "restart", "broker")
    stack.timed("restart db", "restart", "db")
    wait_for(lambda: stack.curl("/readyz")[0] == 200, "The database's return", 60)
    ended = stack.ended(client, experiment)
    assert (ended.state, ended.attempt) == ("succeeded", 1)


def test_stopped_and_started_again_it_goes_on(stack: Stack, client: Client):
    experiment = client.submit({**LONG, "seed": 3}).id
    stack.wait_for_epoch(client, experiment, 10)
    stack.timed("stop", "stop")
    stack.timed("up again", "up", "-d", "--wait")
    ended = stack.ended(client, experiment)
    assert (ended.state, ended.attempt) == ("succeeded", 1)
    assert len(attempts(client, experiment, stack)) == 2
    assert "goes on from the checkpoint" in client.experiment(experiment).log()


def test_two_workers_share_a_set(stack: Stack, client: Client):
    stack.timed("scale to two workers", "up", "-d", "--wait", "--scale", "worker=2", "--no-recreate")
    short: dict[str, Any] = {**LONG, "epochs": 10, "measure": {"epochs": [10]}}
    made = [client.submit({**short, "seed": seed}).id for seed in range(10, 14)]
    assert {stack.ended(client, experiment).state for experiment in made} == {"succeeded"}
    workers = [worker for experiment in made for worker in attempts(client, experiment, stack)]
    assert len(workers) == 4
    assert len(set(workers)) == 2


def test_an_older_schema_comes_up_on_the_new_image_with_its_data(stack: Stack, client: Client):
    before = {experiment.id: experiment.state for experiment in client.experiments()}
    stack.compose("stop", "api", "worker")
    stack.compose("run", "--rm", "-T", "migrate", "python", "-m", "ncmix.jobs.migrate", "--down-to", "0003")
    stack.timed("upgrade", "up", "-d", "--wait")
    # Version 0003 knew no keys: so this is a first start.
    stack.key = stack.first_key()
    with stack.client() as anew:
        assert {experiment.id: experiment.state for experiment in anew.experiments()} == before
        assert (
            stack.ended(anew, anew.submit({**LONG, "epochs": 2, "measure": {"epochs": [2]}}).id)["state"] == "succeeded"
        )
