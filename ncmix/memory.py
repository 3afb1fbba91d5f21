"""How much memory this process may still use: what the machine has free, and what a container's limit leaves of it."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath


def available(root: Path = Path("/")) -> int:
    """Bytes that can still be allocated on the host without swapping or being killed; `root` holds proc and sys.

    The least of what the machine has available and what every control group above this process (version 1 or 2) has
    left below its limit. Cached file pages that the kernel would give back count as free in both.
    """
    return max(0, min([_of_machine(root), *_of_groups(root)]))


def _of_machine(root: Path) -> int:
    for line in (root / "proc" / "meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"{root / 'proc' / 'meminfo'} does not say MemAvailable.")


def _of_groups(root: Path) -> Iterator[int]:
    for line in _text(root / "proc" / "self" / "cgroup").splitlines():
        number, controllers, path = line.split(":", 2)
        base = root / "sys" / "fs" / "cgroup"
        if number == "0":
            yield from _left(base, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _left(base / "memory", path, *names)


def _left(base: Path, path: str, limit: str, usage: str, cached: str) -> Iterator[int]:
    """What the group and each one above it have left. Inside a container only some of them can be seen."""
    inside = PurePosixPath(path.lstrip("/"))
    for group in (base / inside, *(base / above for above in inside.parents)):
        most, used = _text(group / limit).strip(), _text(group / usage).strip()
        if most.isdecimal() and used.isdecimal():
            yield int(most) - int(used) + _statistic(group / "memory.stat", cached)


def _statistic(file: Path, name: str) -> int:
    pairs = (line.split() for line in _text(file).splitlines())
    return next((int(value) for key, value in pairs if key == name), 0)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
