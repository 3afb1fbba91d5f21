"""A follower of a run on several devices, `python -m ncmix.follow`; `ncmix.ranks` starts it. Not for people."""

import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from ncmix.datahome import DataHome
from ncmix.errors import NcmixError
from ncmix.numerics import prepare_process
from ncmix.ranks import following
from ncmix.spec import parse
from ncmix.train import Training


def main() -> None:
    """Train along, keeping nothing, to the end or until the leader is gone."""
    told = json.loads(sys.stdin.readline())
    threading.Thread(target=_die_with_leader, daemon=True).start()
    prepare_process()
    spec, device = parse(told["spec"]), torch.device(told["device"])
    # What every rank finds wrong the leader says.
    with following(told["rank"], spec.devices, told["port"], device) as ranks, suppress(NcmixError, FloatingPointError):
        for _ in Training(spec, device, _home(told["home"]), ranks=ranks):
            pass


def _home(told: dict[str, Any]) -> DataHome:
    folders = {name: Path(path) for name, path in told["folders"].items()}
    return DataHome(Path(told["root"]), folders, told["resident_bytes"])


def _die_with_leader() -> None:
    # Nothing more is ever written: reading returns when the leader has closed its end or is dead.
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
