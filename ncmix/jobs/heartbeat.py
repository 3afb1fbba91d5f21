"""A file that is touched for as long as its owner works: what a container's health check looks at.

`python -m ncmix.jobs.heartbeat [URL]` ends with status 0 if in NCMIX_HEARTBEAT_DIR there are such files and all are
fresh, and if the address, when there is one, answers. It imports nothing that takes time: it runs every few seconds.
"""

import os
import re
import sys
import time
from collections.abc import Sequence
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

# Four beats of a process that beats with its reaper.
STALE_SECONDS = 60.0


class Heartbeat:
    """The file of one owner; nothing without a folder."""

    def __init__(self, folder: Path | None, owner: str) -> None:
        """
        Args:
            folder: `Settings.heartbeat_dir`.
            owner: which part of this machine's service it is; of two with one name both beat here.
        """
        self._path = folder and folder / re.sub(r"[^\w.-]", "-", owner)

    def beat(self) -> None:
        """Say that it works. A disk that cannot take it is said by the file's growing old."""
        if self._path is None:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        except OSError:
            return


def stale(folder: Path, seconds: float = STALE_SECONDS) -> list[str] | None:
    """The owners that have not beaten for so long; None if nobody ever has."""
    beats = {path.name: path.stat().st_mtime for path in folder.iterdir()} if folder.is_dir() else {}
    return [name for name, at in sorted(beats.items()) if time.time() - at > seconds] if beats else None


def main(words: Sequence[str] = sys.argv[1:]) -> int:
    """Say who has stopped; gives 1 if anybody has, or if nobody has begun."""
    late = stale(Path(os.environ.get("NCMIX_HEARTBEAT_DIR") or "/nowhere"))
    if late is None:
        sys.stdout.write("Nobody has given a sign of life yet.\n")
        return 1
    late += [url for url in words if not _answers(url)]
    sys.stdout.write("".join(f"No sign of life: {name}\n" for name in late))
    return 1 if late else 0


def _answers(url: str) -> bool:
    address = urlsplit(url)
    connection = HTTPConnection(address.hostname or "", address.port, timeout=3)
    try:
        connection.request("GET", address.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
