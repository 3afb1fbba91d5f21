"""A real API in a process of its own, whose memory can be watched."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.servers import wait_for


@dataclass(frozen=True)
class Served:
    """A real API, and its process."""

    http: httpx2.Client
    pid: int

    def peak(self) -> int:
        """The most bytes of memory that the process ever had since `forget`."""
        (line,) = [x for x in Path(f"/proc/{self.pid}/status").read_text().splitlines() if x.startswith("VmHWM")]
        return int(line.split()[1]) * 1024

    def forget(self) -> int:
        """Let the peak start anew; gives it."""
        Path(f"/proc/{self.pid}/clear_refs").write_text("5")
        return self.peak()


@contextmanager
def serving(environment: dict[str, str], sign: str = "/readyz") -> Iterator[Served]:
    """The API with these variables, from the moment that `sign` is answered until the block is left."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        words = [sys.executable, "-m", "api", "--fd", str(listener.fileno())]
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            words, env={**os.environ, **environment}, pass_fds=[listener.fileno()], stderr=subprocess.DEVNULL
        )
        try:
            with httpx2.Client(base_url=url, timeout=30) as client:
                wait_for(lambda: client.get(sign).is_success, "an answer")
                yield Served(client, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(20)
