"""API, worker and child log lines that machines can read, which say what they are about and keep secrets."""

import json
import logging
import os
import subprocess
import sys
from typing import Any

import httpx2
import pytest

from ncmix.jobs import journal
from tests.servers import Api, Worker, free_port, wait_for
from tests.toys import toy

PATIENCE = 90.0


def lines(log: str) -> list[dict[str, Any]]:
    """Every line, each of which has to be an object."""
    return [json.loads(line) for line in log.splitlines()]


@pytest.mark.timeout(300)
def test_every_line_of_the_three_processes_is_an_object_that_says_of_what(embedded_environment: dict[str, str]):
    broker = f"redis://:hunter2@127.0.0.1:{free_port()}/0"
    environment = {**embedded_environment, "NCMIX_BROKER_URL": broker, "NCMIX_LOG_FORMAT": "json"}
    with Api(environment) as api, Worker(environment) as worker:
        spec = toy().model_dump(mode="json")
        here = f"{api.url}/api/v1/experiments"
        experiment = httpx2.post(here, json=spec, timeout=20).json()["id"]
        wait_for(lambda: httpx2.get(f"{here}/{experiment}").json()["finished_at"], "The end", PATIENCE)
        assert worker.stop() == 0
        assert api.process is not None
        api.process.terminate()
        api.process.wait(20)
        of_api, of_worker = lines(api.log), lines(worker.log)
        assert "hunter2" not in api.log + worker.log
    assert {line["process"] for line in of_api} == {"api"}
    (access, *_) = [
        line for line in of_api if line["logger"] == "uvicorn.access" and f"/{experiment} " in line["message"]
    ]
    assert (access["experiment"], access["level"]) == (experiment, "INFO")
    assert any(line["logger"].startswith("celery") for line in of_worker)
    about = [line for line in of_worker if line.get("experiment") == experiment]
    assert {(line["attempt"], line["process"]) for line in about} == {(1, "worker")}
    assert len({line["worker"] for line in about}) == 1
    said = [line["message"] for line in about if line["logger"] == journal.CHILD]
    assert any("epoch 3 in" in message for message in said)
    assert {"worker.supervise", journal.CHILD} <= {line["logger"] for line in about}


CODE = """
import logging, os, sys, threading, warnings
from ncmix.jobs import journal
journal.set_up("api", os.environ)
with journal.about(experiment="abc", attempt=2):
    logging.getLogger("x").info("λ %s", "is\\nlong")
warnings.warn("old")
thread = threading.Thread(target=lambda: 1 / 0)
thread.start()
thread.join()
raise ValueError("the end")
"""


def said(log_format: str) -> str:
    """What a process logs that does all this."""
    environment = {**os.environ, "NCMIX_LOG_FORMAT": log_format}
    done = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("log_format", ["json", "auto", ""])
def test_what_goes_wrong_is_an_object_too(log_format: str):
    first, warned, in_thread, last = lines(said(log_format))
    assert (first["message"], first["experiment"], first["attempt"]) == ("λ is\nlong", "abc", 2)
    assert first["time"].endswith("Z")
    assert (warned["logger"], "experiment" in warned) == ("py.warnings", False)
    assert "ZeroDivisionError" in in_thread["traceback"]
    assert (last["level"], last["message"]) == ("CRITICAL", "the end")


def test_text_is_for_people():
    assert "INFO x: λ is\nlong" in said("text")


def test_fields_last_as_long_as_their_block():
    formatter = journal.Json("api")
    record = logging.LogRecord("x", logging.INFO, "", 0, "said", (), None)
    with journal.about(experiment="a"), journal.about(attempt=1):
        assert {"experiment": "a", "attempt": 1}.items() <= json.loads(formatter.format(record)).items()
    assert "experiment" not in json.loads(formatter.format(record))
