"""Where a slot's experiments run: a GPU, a share of one, or the CPU; and which of them this machine has."""

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ncmix.jobs.settings import Queue, Settings

# What every process needs on a GPU beside its tensors does not count in PyTorch's share.
_USABLE = 0.95


@dataclass(frozen=True)
class Place:
    """GPUs as CUDA_VISIBLE_DEVICES names them, none for the CPU, and the share of their memory to use."""

    gpus: tuple[str, ...] = ()
    share: float = 1.0

    @property
    def queues(self) -> tuple[Queue, ...]:
        """The queues that can be served here."""
        return ("gpu", "cpu") if self.gpus else ("cpu",)

    @property
    def environment(self) -> dict[str, str]:
        """What a child must have in its environment to run here and nowhere else."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus), "NCMIX_GPU_MEMORY_FRACTION": f"{self.share:g}"}

    def __str__(self) -> str:
        return f"GPU {'+'.join(self.gpus)}" if self.gpus else "the CPU"


def places(settings: Settings, environment: Mapping[str, str]) -> list[Place]:
    """One place a slot: those that the settings name, or all that this machine has."""
    if settings.slots != ("auto",):
        return [Place(_named(word), settings.gpu_memory_fraction) for word in settings.slots]
    count = settings.slots_per_gpu
    share = settings.gpu_memory_fraction if count == 1 else _USABLE / count
    found = [] if settings.device == "cpu" else gpus(environment)
    return [Place((gpu,), share) for gpu in found for _ in range(count)] or [Place()]


def _named(word: str) -> tuple[str, ...]:
    """The GPUs of a word of NCMIX_SLOTS: `cpu` has none, `0+1` two."""
    return () if word == "cpu" else tuple(word.split("+"))


def gpus(environment: Mapping[str, str]) -> list[str]:
    """The GPUs that may be used here; of one that is split, its parts. PyTorch is not asked: it would touch them."""
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [word.strip() for word in visible.split(",") if word.strip() not in ("", "-1", "NoDevFiles")]
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True, timeout=30)  # noqa: S607  # nosec B607
        return listed_by_nvidia(listed.stdout)
    except (OSError, subprocess.SubprocessError):
        # A container may have the devices without the program.
        return sorted(path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))


def listed_by_nvidia(text: str) -> list[str]:
    """The UUIDs in what `nvidia-smi -L` prints: every GPU, or in its place the MIG devices below it."""
    found: list[list[str]] = []
    for kind, uuid in re.findall(r"^\s*(GPU|MIG) .*\(UUID: ([0-9A-Za-z/-]+)\)\s*$", text, re.MULTILINE):
        if kind == "GPU":
            found.append([uuid])
        elif found:
            found[-1].append(uuid)
    return [uuid for whole, *parts in found for uuid in (parts or [whole])]
