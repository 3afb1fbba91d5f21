"""What a benchmark ran on, how long something takes, how much memory it adds."""

import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch


def facts() -> dict[str, Any]:
    """Hardware, versions and date."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "threads": torch.get_num_threads(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def available_memory() -> int:
    """Bytes that can be used without swapping."""
    (line,) = [line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable")]
    return int(line.split()[1]) * 1024


def timed(works: dict[str, Callable[[], Any]], rounds: int) -> dict[str, tuple[float, Any]]:
    """The median time in seconds of each, and its result, in rounds in which they take turns, after one to warm up.

    What has taken half a minute together is not run again.
    """
    taken: dict[str, list[float]] = {name: [] for name in works}
    results: dict[str, Any] = {}
    for _ in range(rounds + 1):
        for name, work in works.items():
            if sum(taken[name]) > 30:
                continue
            start = time.perf_counter()
            results[name] = work()
            taken[name].append(time.perf_counter() - start)
    return {name: (statistics.median(times[1:] or times), results[name]) for name, times in taken.items()}


def extra_memory(work: Callable[[], object]) -> float:
    """MB by which a child process, forked from this one, grows at its peak while it works; on one thread.

    A fork has none of its parent's OpenMP threads, and would wait for them for ever.
    """
    here, there = multiprocessing.Pipe(duplex=False)
    context = multiprocessing.get_context("fork")
    child = context.Process(target=_grow, args=(work, there))
    child.start()
    there.close()
    grown = here.recv()
    child.join()
    return grown / 1e6


def _grow(work: Callable[[], object], answer: Connection) -> None:
    torch.set_num_threads(1)
    answer.send(growth(work))


def growth(work: Callable[[], object]) -> int:
    """Bytes by which this process is larger at its peak while it works."""
    before = _resident()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    work()
    return _peak() - before


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _peak() -> int:
    (line,) = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) * 1024
