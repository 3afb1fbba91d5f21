"""Files that survive: written whole or not at all, and on the disk itself before anybody relies on them."""

import os
from contextlib import suppress
from pathlib import Path

_PART = ".part"


def write(path: Path, content: bytes | memoryview) -> None:
    """Make `path` hold exactly `content`: a reader, or a process killed here, never leaves or sees half a file.

    Raises:
        OSError: it cannot be written, as when the disk is full; `path` is then as it was and nothing is left behind.
    """
    # In the same folder: only there is a rename atomic.
    part = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
    try:
        with part.open("wb") as file:
            file.write(content)
            sync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync(descriptor: int) -> None:
    """Return once what was written to this file is on the disk."""
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Return once the names in this folder are on the disk: a rename lasts only then."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def is_part(path: Path) -> bool:
    """Whether this is what a process that was killed while it wrote has left behind."""
    return path.name.startswith(".") and path.name.endswith(_PART)
