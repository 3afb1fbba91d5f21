"""The whole installation in containers, on the CPU: used with curl, then broken in every way that operators meet."""

import json
import textwrap
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from ncmix.client import Client
from tests.compose.stack import Stack, docker, documented
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
HERE = "/api/v1/experiments"


def claims(stack: Stack, experiment: str) -> list[dict[str, Any]]:
    """The events with which workers have claimed it."""
    events = stack.json(f"{HERE}/{experiment}/events")["items"]
    return [event for event in events if event["kind"] == "claimed"]


def workers(stack: Stack, experiment: str) -> list[str]:
    """The workers that have claimed it."""
    return [event["data"]["worker"] for event in claims(stack, experiment)]


@pytest.mark.parametrize("service", ["api", "worker"])
def test_an_image_says_what_it_is_and_holds_no_more(stack: Stack, service: str):
    image, base = (
        json.loads(docker("image", "inspect", n))[0] for n in (f"ncmix-{service}", "python:3.13-slim-trixie")
    )
    labels = {name.rpartition(".")[2]: value for name, value in image["Config"]["Labels"].items()}
    assert {"title", "description", "licenses", "version", "revision"} <= set(labels)
    assert labels["revision"] == stack.project
    assert image["Config"]["User"] == "10001:10001"
    megabytes = (image["Size"] - base["Size"]) / 1e6
    stack.sizes[service] = round(megabytes)
    assert megabytes <= {"api": 400, "worker": 7000}[service]
    installed = stack.compose("exec", "-T", service, "ls", "/opt/ncmix/lib/python3.13/site-packages").split()
    assert ("torch" in installed) == (service == "worker")
    assert "pip" not in installed


def test_what_is_compiled_for_a_gpu_can_be_built_and_loaded(stack: Stack):
    """As Triton builds it when a network is compiled, which needs a GPU; into a cache that a container can run from."""
    build = textwrap.dedent("""
        import ctypes, pathlib, sysconfig, tempfile
        from triton.runtime.build import _build
        from triton.runtime.cache import get_cache_manager
        with tempfile.TemporaryDirectory() as folder:
            source = pathlib.Path(folder, "six.c")
            headers = ["math.h", "dlfcn.h"]
            if pathlib.Path(sysconfig.get_paths()["include"], "Python.h").exists():  # Debian's own Python comes without
                headers.insert(0, "Python.h")
            included = "".join(f"#include <{name}>\\n" for name in headers)
            source.write_text(included + "double six(void) { return sqrt(36.0); }\\n")
            built = pathlib.Path(_build("six", str(source), folder, [], [], [], [])).read_bytes()
        library = ctypes.CDLL(get_cache_manager("06").put(built, "six.so", binary=True))
        library.six.restype = ctypes.c_double
        print(library.six())
    """)
    assert stack.compose("exec", "-T", "worker", "python", "-c", build).strip() == "6.0"


def test_the_first_start_prints_a_key_and_the_second_none(stack: Stack):
    printed = stack.compose("logs", "--no-log-prefix", "key")
    assert printed.count("ncmix_") == 1
    stack.compose("up", "-d", "--wait")
    assert stack.first_key() == stack.key
    for service in ("api", "worker", "db", "broker", "migrate", "secrets"):
        assert stack.key not in stack.compose("logs", service)


def test_nothing_is_reachable_without_the_key_but_health(stack: Stack):
    assert stack.curl("/healthz", key="")[0] == 200
    described = stack.json("/openapi.json")["paths"]
    asked = {(verb, path) for path, verbs in described.items() for verb in verbs} - {("get", "/healthz")}
    asked |= {("get", path) for path in ("/", "/docs", "/openapi.json", "/metrics", "/new", "/nowhere")}
    assert len(asked) > 40
    for verb, path in asked:
        assert stack.curl(path, "-g", "-X", verb.upper(), key="")[0] == 401, (verb, path)
    assert stack.curl(HERE, key="ncmix_wrong")[0] == 401
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
        assert stack.curl(f"{here}/plots/nc.pdf")[1].startswith(b"%PDF")
        assert stack.curl(f"{here}/metrics.parquet")[1].startswith(b"PAR1")
    ids = ",".join(experiment["id"] for experiment in posted)
    assert stack.curl(f"/api/v1/compare/plots/nc.png?ids={ids}")[1].startswith(b"\x89PNG")


def test_features_can_be_fetched(stack: Stack, client: Client):
    succeeded = next(client.experiments(state="succeeded"))
    sets = {item["name"] for item in stack.json(f"{HERE}/{succeeded.id}/features")["items"]}
    assert {"train", "test", "classifier"} <= sets
    for name in sets:
        assert stack.curl(f"{HERE}/{succeeded.id}/features/{name}.npz")[1].startswith(b"PK"), name


def test_a_backup_brings_everything_back_when_the_volumes_are_gone(stack: Stack, client: Client, tmp_path: Path):
    backup, restore = documented("*Containers*: `pg_dump`")
    ended = next(client.experiments(state="succeeded"))
    whole = f"{HERE}/{ended.id}/features/train.npy"
    features = stack.curl(whole)[1]
    running = client.submit({**LONG, "seed": 4}).id
    stack.wait_for_epoch(client, running, 10)
    before = {experiment.id: experiment.spec for experiment in client.experiments()}
    stack.shell(backup, tmp_path)
    stack.compose("down")
    docker("volume", "rm", *(f"{stack.project}_{name}" for name in ("db", "broker", "checkpoints", "secrets")))
    began = time.monotonic()
    stack.shell(restore, tmp_path)
    stack.times["restore into new volumes"] = time.monotonic() - began
    # With the key that was made before: what opens the service is in the database.
    assert {experiment.id: experiment.spec for experiment in client.experiments()} == before
    assert stack.curl(whole)[1] == features
    assert stack.ended(client, running).state == "succeeded"
    assert stack.compose("exec", "-T", "api", "ncmix", "jobs", "doctor") == "All is well.\n"


def test_a_key_is_rotated_and_revoked(stack: Stack):
    def keys(*words: str) -> str:
        return stack.compose("exec", "-T", "api", "ncmix", "keys", *words).strip()

    old = keys("create", "laptop", "--scope", "read")
    new = keys("rotate", old.split("_")[1], "--hours", "1")
    assert [stack.curl(HERE, key=key)[0] for key in (old, new)] == [200, 200]
    assert stack.curl(HERE, "-X", "POST", key=new)[0] == 403
    keys("revoke", old.split("_")[1])
    wait_for(lambda: stack.curl(HERE, key=old)[0] == 401, "The end of the old key", 10)
    assert stack.curl(HERE, key=new)[0] == 200
    assert not any(key.rpartition("_")[2] in keys("ls") for key in (old, new))


def test_a_killed_worker_comes_back_and_goes_on(stack: Stack, client: Client):
    experiment = client.submit({**LONG, "seed": 1}).id
    stack.wait_for_epoch(client, experiment, 10)
    killed = time.time()
    stack.kill("worker")
    ended = stack.ended(client, experiment)
    assert (ended.state, ended.attempt) == ("succeeded", 2)
    # Of one name, perhaps: the container is the same, and its processes may have the same numbers again.
    assert len(workers(stack, experiment)) == 2
    again = datetime.fromisoformat(claims(stack, experiment)[1]["at"]).timestamp()
    stack.times["worker killed, until its experiment goes on (lease of 12 s)"] = again - killed


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
    assert len(workers(stack, experiment)) == 2
    assert "goes on from the checkpoint" in client.experiment(experiment).log()


def test_new_passwords_are_taken_by_all(stack: Stack, client: Client, tmp_path: Path):
    (script,) = documented("**New passwords**")
    old = stack.compose("exec", "-T", "api", "cat", "/secrets/database_url")
    stack.shell(script, tmp_path)
    assert stack.compose("exec", "-T", "api", "cat", "/secrets/database_url") != old
    assert next(client.experiments()).ended
    assert stack.json("/readyz")["status"] == "ready"


def test_two_workers_share_a_sweep(stack: Stack, client: Client):
    stack.timed("scale to two workers", "up", "-d", "--wait", "--scale", "worker=2", "--no-recreate")
    sweep = client.submit_sweep(
        {"base": {**LONG, "epochs": 10, "measure": {"epochs": [10]}}, "seeds": [10, 11, 12, 13]}
    )
    made = [experiment.id for experiment in client.experiments(sweep=sweep.id)]
    assert {stack.ended(client, experiment).state for experiment in made} == {"succeeded"}
    claimed = [worker for experiment in made for worker in workers(stack, experiment)]
    assert len(claimed) == 4
    assert len(set(claimed)) == 2


def test_no_secret_is_in_logs_images_or_descriptions(stack: Stack):
    files = ("db_password", "broker_password")
    secrets = [stack.compose("exec", "-T", "api", "cat", f"/secrets/{name}").strip() for name in files]
    secrets.append(stack.key.rpartition("_")[2])
    said = [stack.compose("logs", service) for service in ("api", "worker", "db", "broker", "migrate", "secrets")]
    said += [docker("inspect", container) for container in stack.compose("ps", "-a", "-q").split()]
    said += [docker("history", "--no-trunc", f"ncmix-{name}") for name in ("api", "worker")]
    assert all(len(secret) >= 48 for secret in secrets)
    assert not [secret for secret in secrets if any(secret in words for words in said)]


def test_an_older_schema_comes_up_on_the_new_image_with_its_data(stack: Stack, client: Client):
    before = {experiment.id: experiment.state for experiment in client.experiments()}
    stack.compose("stop", "api", "worker")
    for older in ("0008", "0007", "0006", "0005", "0004", "0003"):
        stack.compose("run", "--rm", "-T", "migrate", "python", "-m", "ncmix.jobs.migrate", "--down-to", older)
    stack.timed("upgrade", "up", "-d", "--wait")
    # Version 0003 knew no keys: so this is a first start.
    stack.key = stack.first_key()
    with stack.client() as anew:
        assert {experiment.id: experiment.state for experiment in anew.experiments()} == before
        made = anew.submit({**LONG, "epochs": 2, "measure": {"epochs": [2]}}).id
        assert stack.ended(anew, made).state == "succeeded"
