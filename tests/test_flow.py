"""The whole path with real parts: an HTTP request, a queue, a worker, a child that trains, a database, a picture."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ncmix.client import ApiError, Client
from tests.servers import Worker, free_port, wait_for

SPEC: dict[str, Any] = {
    "dataset": "digits",
    "model": {"kind": "mlp", "hidden": [32]},
    "mix": "mixup",
    "epochs": 4,
    "measure": {"epochs": [0, 2, 4], "geometry": {"classes": [3, 8, 9], "per_pair": 20}},
    "device": "cpu",
    "name": "three, eight and nine",
    "tags": ["flow"],
}
PATIENCE = 90.0


def _ready(url: str, process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"The process ended with status {process.returncode}.")
    try:
        return httpx2.get(f"{url}/readyz", timeout=2.0).is_success
    except httpx2.TransportError:
        return False


@contextmanager
def api(environment: dict[str, str]) -> Iterator[str]:
    """A real `python -m api`; gives its URL."""
    port = free_port()
    command = [sys.executable, "-m", "api", "--port", str(port)]
    with subprocess.Popen(command, env={**os.environ, **environment}) as process:
        url = f"http://127.0.0.1:{port}"
        try:
            wait_for(lambda: _ready(url, process), "The start of the API", PATIENCE)
            yield url
        finally:
            process.terminate()
    assert process.returncode in (0, -signal.SIGTERM)


@contextmanager
def serve(home: Path) -> Iterator[str]:
    """A real `ncmix serve` on a port of its own choice; gives its URL."""
    command = [sys.executable, "-m", "ncmix.cli", "serve", "--port", "0", "--home", str(home)]
    environment = {**os.environ, "NCMIX_POLL_SECONDS": "0.5"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            said = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline().decode())
            assert said is not None
            yield said[0]
        finally:
            process.terminate()
            farewell, _ = process.communicate()
    assert (process.returncode, b"Stopped." in farewell) == (0, True)


def walk(client: Client) -> None:
    """One experiment from its request to its pictures."""
    with pytest.raises(ApiError, match=r"epochs: -3 must be greater than or equal to 1"):
        client.submit({**SPEC, "epochs": -3})
    posted = client.submit(SPEC)
    assert posted.state in {"queued", "running"}
    assert client.submit({**SPEC, "name": "the same by another name"}).id == posted.id
    ended = posted.wait(timeout=PATIENCE)
    assert (ended.state, ended.attempt, ended.epoch, ended.progress) == ("succeeded", 1, 4, 1.0)
    assert [e.id for e in client.experiments(tag="flow")] == [posted.id]

    rows = posted.metric_rows()
    assert Counter((r["epoch"], r["split"], r["name"]) for r in rows).most_common(1)[0][1] == 1
    assert {r["epoch"] for r in rows if r["name"] == "nc1"} == {0, 2, 4}
    assert {r["epoch"] for r in rows if r["split"] == "running"} == {1, 2, 3, 4}
    assert ended.latest["train"]["nc1"] == next(
        r["value"] for r in rows if (r["epoch"], r["split"], r["name"]) == (4, "train", "nc1")
    )
    text = httpx2.get(f"{client.url}/api/v1/experiments/{posted.id}/metrics.csv").text
    assert [{**r, "epoch": int(r["epoch"]), "value": float(r["value"]) if r["value"] else None}
            for r in csv.DictReader(io.StringIO(text))] == [
        {name: r[name] for name in ("epoch", "split", "name", "value")} for r in rows
    ]  # fmt: skip

    for name in ("nc", "curves", "last-layer"):
        assert posted.plot(name).content.startswith(b"\x89PNG")
        assert b"<svg" in posted.plot(name, "svg").content
    assert "epoch 4" in posted.log()


@pytest.mark.redis
@pytest.mark.postgres
@pytest.mark.timeout(300)
def test_from_request_to_picture_on_redis_and_postgresql(servers_environment: dict[str, str]) -> None:
    with api(servers_environment) as url, Worker(servers_environment), Client(url) as client:
        walk(client)


@pytest.mark.timeout(300)
def test_from_request_to_picture_on_the_embedded_default(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home) as url, Client(url) as client:
        walk(client)
    with serve(home) as url, Client(url) as client:  # started again on the same folder it has everything
        (kept,) = client.experiments()
        assert kept.state == "succeeded"
        missing = client.submit({**SPEC, "dataset": "cifar10", "model": "convnet", "limits": {"wall_hours": 0.01}})
        ended = missing.wait(timeout=PATIENCE)
        assert ended.reason is not None
        assert (ended.state, ended.reason.code) == ("failed", "data_missing")
        assert str(home / "data") in ended.reason.message


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_part_that_dies_is_started_again(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with serve(home) as url, Client(url) as client:
        for part in ("worker", "api"):
            (first, *_) = processes_of(home, part)
            os.kill(first, signal.SIGKILL)
            wait_for(
                lambda first=first, part=part: set(processes_of(home, part)) - {first}, f"Another {part}", PATIENCE
            )
        assert client.submit(SPEC).wait(timeout=PATIENCE).succeeded


def processes_of(home: Path, module: str) -> list[int]:
    """The processes `python -m module` of this service, oldest first."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (folder / "cmdline").read_bytes().split(b"\0")
            ours = f"NCMIX_HOME={home}".encode() in (folder / "environ").read_bytes().split(b"\0")
            if ours and words[1:3] == [b"-m", module.encode()]:
                found.append(int(folder.name))
    return sorted(found, key=lambda pid: int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]))
