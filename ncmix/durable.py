"""Files that survive: written whole or not at all, and on the disk itself before anybody relies on them."""

import os
from contextlib import suppress
from pathlib import Path

_PART = ".part"


def write(path: Path, content: bytes | memoryview) -> None:
    """Make `path` hold exactly `content`: a reader, or a process killed here, never sees or leaves half a file of it.

    Raises:
        OSError: it cannot be written, as when the disk is full; `path` is then as it was and nothing is left behind.
    """
    # In the same folder: only there is a rename atomic.
    part = path.with_name(f".{path.name}.{os.getpid()}{_PART}")
    try:
        part.write_bytes(content)
        sync(part)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    # A new name lasts only once its folder is on the disk, too.
    sync(path.parent)


def sync(path: Path) -> None:
    """Return once what this file holds, or the names in this folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_part(path: Path) -> bool:
    """Whether this is what a process that was killed while it wrote has left behind."""
    return path.name.startswith(".") and path.name.endswith(_PART)
