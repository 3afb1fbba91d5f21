"""A file is touched while its owner works; a health check sees when it grows old."""

import os
import subprocess
import sys
import time

from ncmix.jobs.heartbeat import STALE_SECONDS, Heartbeat, stale


def test_an_owner_that_has_stopped_is_named(tmp_path):
    folder = tmp_path / "new"
    assert stale(folder) is None
    Heartbeat(folder, "GPU MIG-1/2").beat()
    Heartbeat(folder, "api").beat()
    assert stale(folder) == []
    long_ago = time.time() - STALE_SECONDS - 1
    os.utime(folder / "GPU-MIG-1-2", (long_ago, long_ago))
    assert stale(folder) == ["GPU-MIG-1-2"]
    Heartbeat(folder, "GPU MIG-1/2").beat()
    assert stale(folder) == []


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Heartbeat(None, "api").beat()
    assert list(tmp_path.iterdir()) == []


def test_the_check_tells_by_its_status(tmp_path):
    def check() -> int:
        command = [sys.executable, "-m", "ncmix.jobs.heartbeat"]
        environment = {**os.environ, "NCMIX_HEARTBEAT_DIR": str(tmp_path / "beats")}
        return subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL).returncode

    assert check() == 1
    Heartbeat(tmp_path / "beats", "api").beat()
    assert check() == 0
