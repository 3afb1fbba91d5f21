"""NVIDIA's Multi-Process Service: processes that share a GPU work on it together, and no longer in turn.

Of one worker with several slots on a GPU, where NCMIX_MPS asks for it. The daemon is this worker's own, with folders of
its own, and ends with it; a fault of one experiment can take those beside it on the same GPU along.
"""

import logging
import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ncmix.errors import NcmixError
from worker.leash import die_with_parent
from worker.places import Place

_LOG = logging.getLogger(__name__)
_CONTROL = "nvidia-cuda-mps-control"
_PATIENCE_SECONDS = 10.0
_LOOK_SECONDS = 0.05


class MpsError(NcmixError, RuntimeError):
    """The service cannot be had; the message is a sentence."""


def shared(places: Sequence[Place]) -> list[str]:
    """The GPUs that several slots have, each for itself."""
    slots = Counter(place.gpus for place in places if len(place.gpus) == 1)
    return [gpu for (gpu,), count in slots.items() if count > 1]


class Mps:
    """The control daemon, started again when it dies; it starts a server when the first process needs one."""

    def __init__(self, folder: Path, gpus: Sequence[str]) -> None:
        """For these GPUs, with the daemon's pipes and log in `folder`."""
        self._folder, self._gpus = folder, frozenset(gpus)
        # A server renumbers what it sees: it is shown less than all only where GPUs have names that stay.
        named = all("-" in gpu for gpu in gpus)
        self._sees = {"CUDA_VISIBLE_DEVICES": ",".join(gpus)} if named else {}
        self._process: subprocess.Popen[bytes] | None = None

    def environment(self, place: Place) -> dict[str, str]:
        """What the process of a slot must have in its environment to be served; nothing where it is not to be.

        The server sees no other GPU, and a slot of several is not served.
        """
        return self._folders if len(place.gpus) == 1 and place.gpus[0] in self._gpus else {}

    @property
    def _folders(self) -> dict[str, str]:
        return {name: str(self._folder) for name in ("CUDA_MPS_PIPE_DIRECTORY", "CUDA_MPS_LOG_DIRECTORY")}

    def look(self) -> None:
        """Start it again if it has died.

        Raises:
            MpsError: it does not start.
        """
        if self._process is not None and (status := self._process.poll()) is not None:
            _LOG.error("%s has ended with status %d; again", _CONTROL, status)
            self.start()

    def start(self) -> None:
        """Start it, and wait until it listens.

        Raises:
            MpsError: it does not start.
        """
        (self._folder / "control").unlink(missing_ok=True)
        try:
            self._process = self._started()
        except OSError as error:
            raise MpsError(
                f"NCMIX_MPS is 1, but {_CONTROL} cannot be started: {error.strerror}. It comes with NVIDIA's driver."
            ) from error
        self._wait(self._process)

    def _started(self) -> "subprocess.Popen[bytes]":
        with (self._folder / "said").open("wb") as said:
            return subprocess.Popen(
                [_CONTROL, "-f"],
                env=self._own_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - a fleet has no threads
            )

    def _own_environment(self) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
        return inherited | self._folders | self._sees

    def _wait(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not (self._folder / "control").exists():
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                process.wait()
                said = (self._folder / "said").read_text(errors="replace").strip().splitlines()
                raise MpsError(f"NCMIX_MPS is 1, but {_CONTROL} does not start: {said[-1] if said else 'it is silent'}")
            time.sleep(_LOOK_SECONDS)

    def stop(self) -> None:
        """End it and its server, which ends when nobody is served any more."""
        if self._process is None:
            return
        environment = self._own_environment()
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run([_CONTROL], env=environment, input=b"quit\n", timeout=_PATIENCE_SECONDS, check=False)
        self._process.terminate()
        try:
            self._process.wait(_PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def serving(places: Sequence[Place], environment: Mapping[str, str]) -> Iterator[Mps | None]:
    """Within, the service for the GPUs that are shared; None if there are none, or if somebody else's is in use.

    Raises:
        MpsError: it does not start.
    """
    gpus = shared(places)
    if not gpus or "CUDA_MPS_PIPE_DIRECTORY" in environment:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="ncmix-mps-") as folder:
        mps = Mps(Path(folder), gpus)
        mps.start()
        _LOG.info("slots share GPU %s by MPS", ", ".join(gpus))
        try:
            yield mps
        finally:
            mps.stop()
