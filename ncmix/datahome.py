"""Where pictures lie: the data folder, and the image folders the operator registered under a name."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ncmix.errors import NcmixError


class DataHomeError(NcmixError, ValueError):
    """A setting about data folders cannot be used; the message is a sentence."""


@dataclass(frozen=True)
class DataHome:
    """Where pictures lie, and how many of them may lie on the device.

    Attributes:
        root: holds the public data sets and our caches.
        folders: a registered name → its image folder.
        resident_bytes: data up to this size are kept on the device as a whole, larger ones are streamed to it; None
            for half of the memory that is free there.
    """

    root: Path
    folders: Mapping[str, Path] = field(default_factory=dict)
    resident_bytes: int | None = None

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "DataHome":
        """From NCMIX_DATA_DIR (default $NCMIX_HOME/data), NCMIX_IMAGE_FOLDERS and NCMIX_RESIDENT_BYTES.

        NCMIX_IMAGE_FOLDERS is `name=path` words with commas between; a name alone is the folder of that name in the
        data folder.

        Raises:
            DataHomeError: a variable is not of its form.
        """
        home = Path(environment.get("NCMIX_HOME", "ncmix-data"))
        root = Path(environment.get("NCMIX_DATA_DIR") or home / "data")
        words = [w.strip() for w in environment.get("NCMIX_IMAGE_FOLDERS", "").split(",") if w.strip()]
        return cls(root, dict(_registered(word, root) for word in words), _bytes(environment, "NCMIX_RESIDENT_BYTES"))


def _registered(word: str, root: Path) -> tuple[str, Path]:
    name, sign, path = word.partition("=")
    if not name or (sign and not path):
        raise DataHomeError(f"NCMIX_IMAGE_FOLDERS: {word!r} is neither a name nor name=path")
    return name, Path(path) if sign else root / name


def _bytes(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name)
    if not text:
        return None
    if not text.isdecimal():
        raise DataHomeError(f"{name}: {text!r} is not a whole number of bytes from 0")
    return int(text)
