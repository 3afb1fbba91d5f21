"""`python -m tests.fuzz --cases 10000`: so many broken inputs of each kind, to be read, or refused by our own error.

Valid inputs are changed here and there by Hypothesis, which also makes some from nothing. An audit hook ends the
whole at once if reading starts a process, loads a library, or opens anything to write to it.
"""

import argparse
import hashlib
import io
import json
import pickle
import resource
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from PIL import Image

from api.app import create
from ncmix.checkpoint import FORMAT, CheckpointError, Saved, load
from ncmix.datasets.base import DataError
from ncmix.datasets.pictures import decode
from ncmix.errors import NcmixError
from ncmix.jobs.migrate import migrate
from ncmix.jobs.settings import Settings
from ncmix.presets import load as preset
from ncmix.presets import names
from ncmix.spec import parse
from ncmix.spec.reading import read_yaml
from ncmix.unpickle import loads

_FORBIDDEN = {"os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "ctypes.dlopen", "socket.connect"}
_MEMORY = 12 * 2**30
_watching = False


class ExecutedError(BaseException):
    """Reading did what no reading does; not to be caught by those who read."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    if event in _FORBIDDEN or (event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")):
        raise ExecutedError(f"{event}: {arguments!r}")


@contextmanager
def watched() -> Iterator[None]:
    """Within, the audit hook is at work."""
    global _watching  # noqa: PLW0603 - an audit hook has no other way to know
    _watching = True
    try:
        yield
    finally:
        _watching = False


@st.composite
def changed(draw: st.DrawFn, valid: list[bytes]) -> bytes:
    """One of these with bytes replaced, cut out, doubled, or taken from nowhere."""
    data = bytearray(draw(st.sampled_from(valid)))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(0, len(data) - 1)))
        match draw(st.integers(0, 4)):
            case 0:
                data[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case 1:
                del data[at : at + draw(st.integers(1, 64))]
            case 2:
                data[at:at] = draw(st.binary(max_size=16))
            case 3:
                data[at:at] = data[at : at + draw(st.integers(1, 64))]
            case _:
                data[at:at] = draw(st.sampled_from(_CALLS))
    return bytes(data)


# Pickle's own way to say: import this and call it.
_CALLS = [
    b"cos\nsystem\n(S'touch x'\ntR.",
    b"cbuiltins\neval\n(S'1'\ntR.",
    b"\x8c\x02os\x8c\x06system\x93",
    b"NaN",
    b"\x00",
]


def pickles(_: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """What `run.pkl` is read by."""
    value = {
        "h": np.arange(12, dtype=np.float32).reshape(3, 4),
        "rows": [(1, "train", "nc1", 0.5), None],
        "s": np.float64(2),
    }
    return [pickle.dumps(value, protocol) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)], loads


def pictures(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """What image folders are decoded by."""
    valid = []
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, kind)
        valid.append(file.getvalue())
    path = folder / "picture"

    def read(data: bytes) -> None:
        with _unwatched():
            path.write_bytes(data)
        decode([path], 8, lambda i, pixels: None)

    return valid, read


def yamls(_: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """What specs in files are read by."""
    specs = [json.dumps(preset(name, "small").specs[0].model_dump(mode="json")).encode() for name in names()]
    written = [
        b"dataset: digits\nmodel: {kind: mlp, hidden: [64]}\nmix: &a {kind: mixup}\nepochs: 5\n",
        b"!!python/object/apply:os.system ['x']",
    ]
    return specs + written, lambda data: parse(read_yaml(data.decode("utf-8", "replace"))) and None


def checkpoints(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """What a run goes on from, with a checksum that fits the broken file."""
    file = io.BytesIO()
    state = {"model": {"w": torch.arange(6.0)}, "generator": torch.get_rng_state()[:8]}
    torch.save({"format": FORMAT, "key": "k", "spec": {}, "device": "cpu", "epoch": 1, "step": 0, "state": state}, file)
    path = folder / "checkpoint"

    def read(data: bytes) -> None:
        with _unwatched():
            path.write_bytes(data)
        load(Saved(path, 1, 0, hashlib.sha256(data).hexdigest(), len(data)))

    return [file.getvalue()], read


def bodies(folder: Path) -> tuple[list[bytes], Callable[[bytes], None]]:
    """What is posted."""
    url = f"sqlite:///{folder / 'ncmix.db'}"
    migrate(url)
    service = Settings.from_environment({"NCMIX_HOME": str(folder), "NCMIX_DATABASE_URL": url})
    client = TestClient(create(service), base_url="http://localhost", raise_server_exceptions=False)
    client.__enter__()
    valid = [json.dumps(preset(name, "small").specs[0].model_dump(mode="json")).encode() for name in names()]

    def read(data: bytes) -> None:
        with _unwatched():
            answer = client.post("/api/v1/experiments", content=data, headers={"Content-Type": "application/json"})
        if answer.status_code >= 500:
            raise AssertionError(answer.text)
        if answer.status_code >= 400:
            raise NcmixError(answer.text)

    return valid, read


@contextmanager
def _unwatched() -> Iterator[None]:
    global _watching  # noqa: PLW0603
    _watching = False
    yield
    _watching = True


_HOW = settings(
    database=None,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

KINDS = {"pickles": pickles, "pictures": pictures, "YAML": yamls, "checkpoints": checkpoints, "bodies": bodies}


def fuzz(kind: str, cases: int) -> Counter[str]:
    """Read so many broken inputs of a kind; gives how many were read and how many refused.

    Raises:
        Exception: reading raised anything but an error of ours.
        ExecutedError: it did what no reading does.
    """
    told: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="ncmix-fuzz-") as folder:
        valid, read = KINDS[kind](Path(folder))

        @settings(_HOW, max_examples=cases)
        @given(st.one_of(changed(valid), changed(valid), changed(valid), st.binary(max_size=200)))
        def case(data: bytes) -> None:
            try:
                with watched(), warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    read(data)
            except (NcmixError, DataError, CheckpointError):
                told["refused"] += 1
            else:
                told["read"] += 1

        case()
    return told


def main() -> None:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--kind", choices=list(KINDS), action="append")
    arguments = parser.parse_args()
    # A broken input that takes all memory shall end this and not the machine.
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    sys.addaudithook(_audit)
    print("| input | cases | read | refused by our own error | anything else | seconds |\n|---|---|---|---|---|---|")
    for kind in arguments.kind or KINDS:
        began = time.monotonic()
        told = fuzz(kind, arguments.cases)
        seconds = time.monotonic() - began
        print(f"| {kind} | {told.total()} | {told['read']} | {told['refused']} | 0 | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
