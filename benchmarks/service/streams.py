"""Many who follow one experiment while it runs: how long from an epoch on record until each of them has it."""

import json
import socket
import threading
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

from benchmarks.report import Table
from benchmarks.service import corpus, filling
from benchmarks.service.driving import quantiles
from ncmix.jobs import recording
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from tests.servers import wait_for

EVERY = 1.0


class Viewer:
    """A connection to the stream of an experiment, and when each epoch came over it."""

    def __init__(self, url: str, experiment_id: str) -> None:
        address = urlsplit(url)
        self.socket = socket.create_connection((address.hostname, address.port), timeout=60)
        self.socket.sendall(
            f"GET /api/v1/experiments/{experiment_id}/stream HTTP/1.1\r\nHost: {address.netloc}\r\n\r\n".encode()
        )
        self.came: dict[int, float] = {}
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self) -> None:
        with self.socket.makefile("rb") as lines:
            event = b""
            for line in lines:
                if line.startswith(b"event:"):
                    event = line.split()[1]
                elif line.startswith(b"data:") and event == b"metrics":
                    self.came[json.loads(line[5:])["epoch"]] = time.perf_counter()

    def close(self) -> None:
        """Hang up."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.socket.close()


def table(url: str, settings: Settings, viewers: int, seconds: float) -> Table:
    """An epoch every second, seen by everybody."""
    database = Database(settings.database_url)
    lease = filling.claimed(database, settings, seed=7)
    recorded: dict[int, float] = {}
    with ExitStack() as stack:
        watching = [Viewer(url, lease.experiment_id) for _ in range(viewers)]
        for viewer in watching:
            stack.callback(viewer.close)
        for epoch in range(1, 2 + max(1, int(seconds / EVERY))):
            recording.record(database, lease, corpus.snapshot(epoch))
            recorded[epoch] = time.perf_counter()
            wait_for(lambda epoch=epoch: all(epoch in v.came for v in watching), f"Epoch {epoch} everywhere", 60.0)
            # The pace of the training, not a wait for the viewers: they all have it.
            time.sleep(max(0.0, recorded[epoch] + EVERY - time.perf_counter()))
    database.dispose()
    # The first comes while they are still connecting.
    waited = [v.came[epoch] - at for epoch, at in recorded.items() if epoch > 1 for v in watching]
    title = f"From an epoch of {2 * corpus.METRICS} metrics on record until a viewer has it; looked at every 0.5 s"
    return Table(title, ("viewers", "p50 ms", "p99 ms"), [(float(viewers), *quantiles(waited))])
