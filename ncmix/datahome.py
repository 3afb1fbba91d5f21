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
    """`root` holds the public data sets and our caches; `folders` maps a registered name to its image folder."""

    root: Path
    folders: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "DataHome":
        """From NCMIX_DATA_DIR (default $NCMIX_HOME/data) and NCMIX_IMAGE_FOLDERS.

        NCMIX_IMAGE_FOLDERS is `name=path` words with commas between; a name alone is the folder of that name in the
        data folder.

        Raises:
            DataHomeError: a word is not of that form.
        """
        home = Path(environment.get("NCMIX_HOME", "ncmix-data"))
        root = Path(environment.get("NCMIX_DATA_DIR") or home / "data")
        words = [w.strip() for w in environment.get("NCMIX_IMAGE_FOLDERS", "").split(",") if w.strip()]
        return cls(root, dict(_registered(word, root) for word in words))


def _registered(word: str, root: Path) -> tuple[str, Path]:
    name, sign, path = word.partition("=")
    if not name or (sign and not path):
        raise DataHomeError(f"NCMIX_IMAGE_FOLDERS: {word!r} is neither a name nor name=path")
    return name, Path(path) if sign else root / name
