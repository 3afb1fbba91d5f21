"""Which slots a machine has, and what a child on each of them sees."""

from dataclasses import replace

import pytest

from ncmix.jobs.settings import Settings
from worker import places as module
from worker.places import Place, gpus, listed_by_nvidia, places

TWO = {"CUDA_VISIBLE_DEVICES": "0,3"}
LISTED = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-aaaa-1)
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-bbbb-2)
  MIG 3g.40gb     Device  0: (UUID: MIG-cccc-3)
  MIG 3g.40gb     Device  1: (UUID: MIG-dddd-4)
"""


@pytest.fixture
def auto() -> Settings:
    """The settings without any variable."""
    return Settings.from_environment({})


def test_every_gpu_has_a_slot_that_sees_no_other(auto: Settings) -> None:
    found = places(auto, TWO)
    assert [p.environment["CUDA_VISIBLE_DEVICES"] for p in found] == ["0", "3"]
    assert {p.queues for p in found} == {("gpu", "cpu")}
    assert {p.environment["NCMIX_GPU_MEMORY_FRACTION"] for p in found} == {"1"}


def test_several_slots_share_a_gpu_and_its_memory(auto: Settings) -> None:
    found = places(replace(auto, slots_per_gpu=2), TWO)
    assert [p.gpus for p in found] == [("0",), ("0",), ("3",), ("3",)]
    assert sum(p.share for p in found[:2]) == pytest.approx(0.95)


@pytest.mark.parametrize("hidden", ["", "-1"])
def test_without_a_gpu_there_is_one_slot_on_the_cpu(auto: Settings, hidden: str) -> None:
    (only,) = places(auto, {"CUDA_VISIBLE_DEVICES": hidden})
    assert (only, only.queues, only.environment["CUDA_VISIBLE_DEVICES"]) == (Place(), ("cpu",), "")


def test_a_worker_of_the_cpu_takes_no_gpu(auto: Settings) -> None:
    assert places(replace(auto, device="cpu"), TWO) == [Place()]


def test_the_settings_can_name_the_slots() -> None:
    settings = Settings.from_environment({"NCMIX_SLOTS": "1, GPU-aaaa-1+2,cpu,cpu"})
    found = places(settings, {})
    assert [p.gpus for p in found] == [("1",), ("GPU-aaaa-1", "2"), (), ()]
    assert found[1].environment["CUDA_VISIBLE_DEVICES"] == "GPU-aaaa-1,2"


def test_a_gpu_that_is_split_is_used_by_its_parts() -> None:
    assert listed_by_nvidia(LISTED) == ["GPU-aaaa-1", "MIG-cccc-3", "MIG-dddd-4"]
    assert listed_by_nvidia("No devices were found\n") == []


def test_a_machine_without_the_program_is_asked_for_its_devices(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    for name in ("nvidia0", "nvidia1", "nvidiactl"):
        (tmp_path / name).touch()
    monkeypatch.setattr(module, "Path", lambda _: tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert gpus({}) == ["0", "1"]
