"""What the compose files say, on hosts with and without a GPU, without starting anything."""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]

# What does not pass from the operator's shell into containers, and why.
KEPT_OUT = {
    "HOME": "a folder of the image", "DATA_DIR": "a folder of the image", "CHECKPOINT_DIR": "a folder of the image",
    "HEARTBEAT_DIR": "a folder of the image",
    "DATABASE_URL": "a secret, in a file", "BROKER_URL": "a secret, in a file", "API_KEY": "of clients",
    "URL": "of clients", "DEVICE": "docker/device-*.yml give it", "DEFAULT_QUEUE": "docker/device-*.yml give it",
    "GRACE_SECONDS": "stop_grace_period would have to follow it", "GPU_MEMORY_FRACTION": "the worker gives it",
    "TRUSTED_NETWORK": "there always is a key",
}  # fmt: skip


def passed() -> set[str]:
    """The variables that docker/settings.env lets through."""
    lines = (ROOT / "docker" / "settings.env").read_text().splitlines()
    return {line for line in lines if not line.startswith("#")}


def config(*words: str, **environment: str) -> dict[str, Any]:
    """The services that Compose understands, with nothing but these variables set."""
    unset = passed()
    clean = {name: value for name, value in os.environ.items() if not (name in unset or name.startswith("NCMIX_"))}
    command = ["docker", "compose", *words, "config", "--format", "json"]
    said = subprocess.run(command, cwd=ROOT, env={**clean, **environment}, capture_output=True, check=True).stdout
    return json.loads(said)["services"]


def test_every_setting_reaches_the_containers_or_is_kept_out_for_a_reason():
    page = (ROOT / "docs" / "operations.md").read_text().partition("## Settings")[2].partition("\n## ")[0]
    settings = set(re.findall(r"^\| `([A-Z_]+)`", page, re.MULTILINE))
    known = passed() | {f"NCMIX_{name}" for name in KEPT_OUT}
    assert len(settings) > 30
    assert settings - known == set()
    assert {name for name in known if name.startswith("NCMIX_")} - settings == set()


def test_what_is_left_running_fills_no_disk_and_comes_back():
    for name in ("docker-compose.yml", "docker-compose.worker.yml"):
        for service, words in yaml.safe_load((ROOT / name).read_text())["services"].items():
            assert words["logging"]["options"]["max-size"] == "20m", service
            assert words["pids_limit"], service
            assert words["security_opt"] == ["no-new-privileges:true"], service
            once = service in ("secrets", "migrate", "key")
            assert words.get("restart") == (None if once else "unless-stopped"), service


@pytest.mark.compose
@pytest.mark.parametrize("file", ["docker-compose.yml", "docker-compose.worker.yml"])
def test_one_switch_is_with_or_without_a_gpu(file: str):
    given = {"NCMIX_CHECKPOINTS": "/shared/checkpoints"}
    gpu = config("-f", file, **given)["worker"]
    devices = [{"driver": "nvidia", "count": -1, "capabilities": ["gpu"]}]
    assert gpu["deploy"]["resources"]["reservations"]["devices"] == devices
    assert (gpu["environment"]["NCMIX_DEVICE"], gpu["environment"]["NCMIX_DEFAULT_QUEUE"]) == ("auto", "gpu")
    cpu = config("-f", file, **given, NCMIX_DEVICE="cpu")["worker"]
    assert "deploy" not in cpu
    assert (cpu["environment"]["NCMIX_DEVICE"], cpu["environment"]["NCMIX_DEFAULT_QUEUE"]) == ("cpu", "cpu")
    same = {"deploy", "environment"}
    assert {k: v for k, v in gpu.items() if k not in same} == {k: v for k, v in cpu.items() if k not in same}


@pytest.mark.compose
@pytest.mark.parametrize("device", ["gpu", "cpu"])
def test_the_api_sends_work_to_the_queue_of_its_workers(device: str):
    services = config(NCMIX_DEVICE=device)
    assert services["api"]["environment"]["NCMIX_DEFAULT_QUEUE"] == device
    ports = {name: port for name, words in services.items() for port in words.get("ports", [])}
    assert set(ports) == {"api"}
    assert ports["api"]["host_ip"] == "127.0.0.1"
    own = [words for name, words in services.items() if name not in ("db", "broker")]
    assert all(words["read_only"] and words["cap_drop"] == ["ALL"] and words["init"] for words in own)


@pytest.mark.compose
def test_settings_of_the_shell_come_through_and_no_others():
    given = dict.fromkeys(passed(), "7")
    for service in ("api", "worker"):
        environment = config(**given)[service]["environment"]
        assert {name for name, value in environment.items() if value == "7"} == set(given)
        assert not set(given) & set(config()[service]["environment"])


@pytest.mark.compose
def test_other_hosts_are_let_in_by_an_address_that_must_be_named():
    files = ("-f", "docker-compose.yml", "-f", "docker/open.yml")
    with pytest.raises(subprocess.CalledProcessError):
        config(*files)
    services = config(*files, NCMIX_INSIDE_ADDRESS="10.0.0.1", NCMIX_DB_PORT="15432")
    ports = {name: port for name, words in services.items() for port in words.get("ports", [])}
    assert {(name, port["host_ip"], port["published"]) for name, port in ports.items()} == {
        ("api", "127.0.0.1", "8000"),
        ("db", "10.0.0.1", "15432"),
        ("broker", "10.0.0.1", "6379"),
    }
