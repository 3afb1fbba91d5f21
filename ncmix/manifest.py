"""What must be known to repeat a run: its spec, the versions it ran with, the device, the seed."""

import platform
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import torch

from ncmix.spec import Spec

_PACKAGES = ("ncmix", "torch", "torchvision", "numpy", "scikit-learn")


def manifest(spec: Spec, device: torch.device) -> dict[str, Any]:
    """The manifest of a run of `spec` on `device`, as plain JSON values."""
    return {
        "title": spec.title,
        "key": spec.key,
        "spec": spec.model_dump(mode="json"),
        "seed": spec.seed,
        **surroundings(device),
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def surroundings(device: torch.device) -> dict[str, Any]:
    """What a run on `device` depends on besides its spec."""
    return {
        "device": {"type": device.type, "name": _device_name(device), "threads": torch.get_num_threads()},
        "versions": {"python": platform.python_version(), **{name: version(name) for name in _PACKAGES}},
        "platform": platform.platform(),
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
