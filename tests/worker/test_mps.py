"""Slots that share a GPU are served by a daemon of the worker's own, here a program that stands for NVIDIA's."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ncmix.jobs.settings import Settings, SettingsError
from tests.servers import Worker, wait_for
from worker.mps import Mps, MpsError, serving, shared
from worker.places import Place

PATIENCE = 60.0
UUID = "GPU-aaaa-1"
TWO = [Place((UUID,), 0.475)] * 2

# Listens on a pipe and notes what it was told and shown; `quit` ends it.
STAND_IN = """\
#!{python}
import os, signal, sys
from pathlib import Path
folder = Path(os.environ["CUDA_MPS_PIPE_DIRECTORY"])
if sys.argv[1:] != ["-f"]:
    Path("{told}").open("a").write(sys.stdin.read())
    os.kill(int((folder / "pid").read_text()), signal.SIGTERM)
    sys.exit()
with Path("{told}").open("a") as told:
    told.write(f"started for {{os.environ.get('CUDA_VISIBLE_DEVICES', 'all')}}\\n")
(folder / "pid").write_text(str(os.getpid()))
os.mkfifo(folder / "control")
signal.pause()
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What the stand-in was told; it is found before anything else of its name."""
    program = tmp_path / "bin" / "nvidia-cuda-mps-control"
    program.parent.mkdir()
    program.write_text(STAND_IN.format(python=sys.executable, told=tmp_path / "told"))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "told"


@pytest.mark.parametrize(
    ("places", "gpus"),
    [
        ([("0",), ("0",), ("3",)], ["0"]),
        ([("0",), ("0",), ("3",), ("3",), ()], ["0", "3"]),
        ([("0",), ("1",)], []),
        ([(), ()], []),
        # A slot of two GPUs has them to itself, or the operator has said something odd.
        ([("0", "1"), ("0", "1")], []),
    ],
)
def test_only_gpus_that_slots_share_are_served(places: list[tuple[str, ...]], gpus: list[str]) -> None:
    assert shared([Place(p) for p in places]) == gpus


def test_it_is_there_within_and_gone_afterwards(told: Path) -> None:
    with serving(TWO, {}) as mps:
        assert mps is not None
        folder = Path(mps.environment(TWO[0])["CUDA_MPS_PIPE_DIRECTORY"])
        assert (folder / "control").is_fifo()
        daemon = int((folder / "pid").read_text())
    assert told.read_text() == f"started for {UUID}\nquit\n"
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(daemon, 0)


def test_slots_of_other_gpus_and_of_the_cpu_are_not_served(told: Path) -> None:
    """The server does not see their GPUs: whom it served there would find none."""
    others = [Place(("GPU-bbbb-2",)), Place((UUID, "GPU-bbbb-2")), Place()]
    with serving([*TWO, *others], {}) as mps:
        assert mps is not None
        assert told.read_text() == f"started for {UUID}\n"
        assert all(mps.environment(place) for place in TWO)
        assert not any(mps.environment(place) for place in others)


def test_gpus_that_only_have_numbers_keep_them(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that saw only GPU 3 would call it 0."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    with serving([Place(("3",))] * 2, {}):
        assert told.read_text() == "started for all\n"


@pytest.mark.parametrize("places", [TWO[:1], [Place()] * 2])
def test_without_a_shared_gpu_nothing_is_started(told: Path, places: list[Place]) -> None:
    with serving(places, {}) as mps:
        assert mps is None
    assert not told.exists()


def test_a_service_of_the_operator_s_own_is_used_as_it_is(told: Path) -> None:
    with serving(TWO, {"CUDA_MPS_PIPE_DIRECTORY": "/run/mps"}) as mps:
        assert mps is None
    assert not told.exists()


def test_it_is_started_again_when_it_dies(told: Path, tmp_path: Path) -> None:
    mps = Mps(tmp_path, [UUID])
    mps.start()
    first = int((tmp_path / "pid").read_text())
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: mps.look() or int((tmp_path / "pid").read_text()) != first, "Another daemon", PATIENCE)
    mps.stop()
    assert told.read_text().count("started") == 2


def test_a_program_that_is_not_there_or_fails_is_a_sentence(told: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = told.parent / "bin" / "nvidia-cuda-mps-control"
    program.write_text("#!/bin/sh\necho no GPU was found >&2; exit 1\n")
    with pytest.raises(MpsError, match="nvidia-cuda-mps-control does not start: no GPU was found"), serving(TWO, {}):
        pass
    monkeypatch.setenv("PATH", str(told.parent))
    with pytest.raises(MpsError, match="cannot be started: No such file or directory"), serving(TWO, {}):
        pass


def test_the_setting_is_one_or_nought() -> None:
    assert not Settings.from_environment({}).mps
    assert Settings.from_environment({"NCMIX_MPS": "1"}).mps
    with pytest.raises(SettingsError, match="NCMIX_MPS is 'yes'; allowed are 0, 1"):
        Settings.from_environment({"NCMIX_MPS": "yes"})


@pytest.fixture
def fleet(told: Path, embedded_environment: dict[str, str]) -> Iterator[Worker]:
    """A worker with two slots on one GPU, which it believes to have."""
    asked = {"NCMIX_SLOTS": f"{UUID},{UUID}", "NCMIX_MPS": "1", "NCMIX_WARM": "0", "PATH": os.environ["PATH"]}
    with Worker({**embedded_environment, **asked}) as worker:
        wait_for(lambda: worker.log.count("serves the queues") == 2, "The start of both", PATIENCE)
        yield worker


@pytest.mark.timeout(300)
def test_the_slots_of_a_worker_find_it(fleet: Worker, told: Path) -> None:
    for pid in fleet.children("--leash"):
        assert b"CUDA_MPS_PIPE_DIRECTORY=" in Path(f"/proc/{pid}/environ").read_bytes()
    assert fleet.stop() == 0
    assert told.read_text() == f"started for {UUID}\nquit\n"
