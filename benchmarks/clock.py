"""Times things against each other in turn, so that whatever else the machine does meets all of them alike."""

import time
from collections.abc import Callable, Mapping
from statistics import median

import torch

Work = Callable[[], int]
"""Does some work and says how many images it was."""


def interleaved(subjects: Mapping[str, Work], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Images/s of every subject in every round, after one that does not count."""
    rates: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds + 1):
        for name, work in subjects.items():
            rate = _rate(work, device)
            if number > 0:
                rates[name].append(rate)
    return rates


def _rate(work: Work, device: torch.device) -> float:
    images, passed = _timed(work, device)
    return images / passed


def seconds(work: Work, device: torch.device) -> float:
    """How long some work takes."""
    return _timed(work, device)[1]


def _timed(work: Work, device: torch.device) -> tuple[int, float]:
    _finish(device)
    start = time.perf_counter()
    images = work()
    _finish(device)
    return images, time.perf_counter() - start


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ratio(one: list[float], other: list[float]) -> float:
    """The median over the rounds of one rate over the other."""
    return median(a / b for a, b in zip(one, other, strict=True))
