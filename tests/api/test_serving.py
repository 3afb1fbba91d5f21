"""`python -m api`: on an inherited socket, to this machine alone unless told otherwise, until a signal comes."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from api.__main__ import main
from ncmix.jobs import keys
from ncmix.jobs.database import Database
from tests.servers import wait_for


@pytest.fixture(autouse=True)
def _home(sqlite_url: str, monkeypatch: pytest.MonkeyPatch):
    """A database without keys."""
    monkeypatch.setenv("NCMIX_DATABASE_URL", sqlite_url)


SPEC = {"dataset": "digits", "model": "mlp", "epochs": 5}


def test_it_serves_on_a_socket_that_somebody_else_opened(sqlite_url: str, tmp_path: Path):
    environment = {**os.environ, "NCMIX_HOME": str(tmp_path / "home"), "NCMIX_DATABASE_URL": sqlite_url}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        words = [sys.executable, "-m", "api", "--fd", str(listener.fileno())]
        process = subprocess.Popen(words, env=environment, pass_fds=[listener.fileno()], stderr=subprocess.PIPE)
        try:
            with httpx2.Client(base_url=url, timeout=30) as client:
                assert client.get("/readyz").status_code == 200
                assert client.post("/api/v1/experiments", json=SPEC).status_code == 201
                large = client.post("/api/v1/experiments", json={**SPEC, "name": "x" * 2**22})
                assert large.status_code == 413
                assert large.headers["content-type"] == "application/problem+json"
        finally:
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=20)
        assert b"Traceback" not in errors
        assert process.returncode in (0, -signal.SIGTERM)


def test_it_serves_on_a_port(sqlite_url: str, tmp_path: Path):
    environment = {**os.environ, "NCMIX_HOME": str(tmp_path / "home"), "NCMIX_DATABASE_URL": sqlite_url}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "api", "--port", str(port)]
    with subprocess.Popen(words, env=environment, stderr=subprocess.DEVNULL) as process:
        wait_for(lambda: answers(port), "an answer")
        process.send_signal(signal.SIGTERM)


def answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/healthz", timeout=5).is_success
    except httpx2.TransportError:
        return False


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])  # noqa: S104 - that is the test
def test_it_refuses_to_be_reached_from_elsewhere(host: str, caplog: pytest.LogCaptureFixture):
    assert main(["--host", host, "--port", "0"]) == 2
    assert "there is no API key yet" in caplog.text
    assert "NCMIX_TRUSTED_NETWORK=1" in caplog.text


def test_with_a_key_it_may_be_reached_from_elsewhere(sqlite_url: str, caplog: pytest.LogCaptureFixture):
    database = Database(sqlite_url)
    with database.transaction() as session:
        keys.issue(session, "first", "admin")
    database.dispose()
    # An address that this machine does not have: it may, but cannot.
    assert main(["--host", "192.0.2.1", "--port", "0"]) == 2
    assert "Nothing can listen on 192.0.2.1" in caplog.text


def test_a_database_that_cannot_say_whether_there_is_a_key_is_none_with_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setenv("NCMIX_DATABASE_URL", f"sqlite:///{tmp_path / 'bare.db'}")
    assert main(["--host", "192.0.2.1", "--port", "0"]) == 2
    assert "192.0.2.1 can be reached from other machines, and the database" in caplog.text


def test_an_inherited_socket_must_be_of_this_machine_too(caplog: pytest.LogCaptureFixture):
    with socket.create_server(("0.0.0.0", 0)) as listener:  # noqa: S104
        assert main(["--fd", str(os.dup(listener.fileno()))]) == 2
    assert "0.0.0.0 can be reached from other machines" in caplog.text


def test_a_port_that_is_taken_is_said(caplog: pytest.LogCaptureFixture):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert main(["--port", str(other.getsockname()[1])]) == 2
    assert "Nothing can listen on 127.0.0.1" in caplog.text


def test_settings_that_cannot_be_used_are_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setenv("NCMIX_DATABASE_URL", "mysql://somewhere")
    assert main(["--port", "0"]) == 2
    assert "NCMIX_DATABASE_URL begins with 'mysql'" in caplog.text
