"""Checkpoints: all that a run needs to go on as if it had never stopped, in files that prove themselves.

A file is what `torch.save` writes: `torch.load(path, weights_only=True)["state"]["model"]` are the weights. Its name
says how far the run was and, by the SHA-256 of its bytes, what is in it: a file that was cut short or changed is
noticed before anything of it is used.
"""

import hashlib
import io
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ncmix import durable
from ncmix.errors import NcmixError
from ncmix.spec import CHANGEABLE, Spec, differing

# Raised whenever what `Trainer.state` holds changes its meaning: a file of another number is refused.
FORMAT = 1
# The newest, and one to fall back to should it be damaged.
KEPT = 2
# How much of the training time checkpoints may take, and how long a run may be without one all the same.
COST_SHARE, LONGEST_SECONDS = 0.02, 600.0

_NAME = re.compile(r"epoch-(\d+)-step-(\d+)-([0-9a-f]{64})\.pt")


class CheckpointError(NcmixError, ValueError):
    """A checkpoint cannot be used; the message is a sentence."""


@dataclass(frozen=True)
class Checkpoint:
    """A run between two batches: `epoch` epochs are done and yielded, and `step` batches of the next one.

    Attributes:
        key: that of the run's spec.
        spec: the spec as plain JSON values.
        device: the kind of device it ran on, cpu or cuda: their generators are not the same.
        state: what `ncmix.train.Trainer` needs to go on: plain values and tensors.
    """

    key: str
    spec: Mapping[str, Any]
    device: str
    epoch: int
    step: int
    state: Mapping[str, Any]

    @property
    def begun(self) -> bool:
        """Whether a batch was trained on; a run resumed from before that begins anew, measuring epoch 0 too."""
        return (self.epoch, self.step) > (0, 0)

    def check(self, spec: Spec, device: str) -> None:
        """Refuse to go on as `spec` says on `device`, unless this is of that run, or the end of the one it extends.

        Raises:
            CheckpointError: it is of another run, or of another kind of device.
        """
        if self.device != device:
            raise CheckpointError(f"The checkpoint was made on {self.device}; it cannot be continued on {device}.")
        if self.key == spec.key:
            return
        begin = spec.extends
        if begin is None or self.key != begin.key:
            wanted = f"{spec.key[:12]}… ({spec.title})" + (f" or its parent {begin.key[:12]}…" if begin else "")
            raise CheckpointError(f"The checkpoint is of the run {self.key[:12]}…; asked for is {wanted}.")
        if (self.epoch, self.step) != (begin.epochs, 0):
            raise CheckpointError(
                f"The checkpoint is of epoch {self.epoch}, step {self.step}; the run {begin.key[:12]}… is extended "
                f"from its end, which is epoch {begin.epochs}."
            )
        if changed := differing(self.spec, spec):
            raise CheckpointError(
                f"The run {begin.key[:12]}… had another {changed[0]}; what an extension may change is "
                f"{', '.join(sorted(CHANGEABLE))}."
            )


@dataclass(frozen=True)
class Saved:
    """A checkpoint's file."""

    path: Path
    epoch: int
    step: int
    sha256: str
    size: int

    @classmethod
    def at(cls, path: Path) -> "Saved | None":
        """What the name of a file says; None if it is no checkpoint's."""
        if not (match := _NAME.fullmatch(path.name)):
            return None
        return cls(path, int(match[1]), int(match[2]), match[3], path.stat().st_size)


def encode(checkpoint: Checkpoint) -> memoryview:
    """As the bytes of a file."""
    content = {
        "format": FORMAT,
        "key": checkpoint.key,
        "spec": dict(checkpoint.spec),
        "device": checkpoint.device,
        "epoch": checkpoint.epoch,
        "step": checkpoint.step,
        "state": dict(checkpoint.state),
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getbuffer()


def load(saved: Saved) -> Checkpoint:
    """The checkpoint in a file, its tensors on the CPU; nothing in a file can make this run code.

    Raises:
        CheckpointError: there is no such file, it is damaged, or it is of another version.
    """
    try:
        content = saved.path.read_bytes()
    except OSError as error:
        raise CheckpointError(f"The checkpoint {saved.path} cannot be read: {error.strerror}.") from error
    if len(content) != saved.size or hashlib.sha256(content).hexdigest() != saved.sha256:
        raise CheckpointError(f"The checkpoint {saved.path} is damaged: its bytes are not those that were written.")
    return _decode(content, saved.path)


def _decode(content: bytes, path: Path) -> Checkpoint:
    try:
        # On the CPU first, wherever it was made: generators keep their state there, and weights are copied from there.
        found = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file can raise nearly anything
        said = str(error).partition("\n")[0] or type(error).__name__
        raise CheckpointError(f"{path} is not a checkpoint: {said}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        number = found.get("format") if isinstance(found, dict) else None
        raise CheckpointError(f"The checkpoint {path} has format {number}; this version of ncmix reads {FORMAT}.")
    fields = ("key", "spec", "device", "epoch", "step", "state")
    if missing := [name for name in fields if name not in found]:
        raise CheckpointError(f"The checkpoint {path} has no {', '.join(missing)}.")
    return Checkpoint(**{name: found[name] for name in fields})


class Checkpoints:
    """The checkpoints of one run, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, checkpoint: Checkpoint) -> Saved:
        """Put it on the disk; when this returns it is there to stay.

        Raises:
            OSError: it cannot be written; nothing is left behind, and the others are as they were.
        """
        content = encode(checkpoint)
        digest = hashlib.sha256(content).hexdigest()
        path = self.folder / f"epoch-{checkpoint.epoch:06d}-step-{checkpoint.step:06d}-{digest}.pt"
        self.folder.mkdir(parents=True, exist_ok=True)
        durable.write(path, content)
        return Saved(path, checkpoint.epoch, checkpoint.step, digest, len(content))

    def saved(self) -> list[Saved]:
        """What is there, the furthest first."""
        found = [saved for path in self._files() if (saved := Saved.at(path))]
        return sorted(found, key=lambda s: (s.epoch, s.step, s.path.stat().st_mtime_ns), reverse=True)

    def sweep(self, keep: frozenset[str]) -> None:
        """Remove every file but those of these names: what is superseded, and what killed processes left behind."""
        for path in self._files():
            if path.name not in keep and (durable.is_part(path) or Saved.at(path)):
                with suppress(FileNotFoundError):
                    path.unlink()

    def _files(self) -> list[Path]:
        return list(self.folder.iterdir()) if self.folder.is_dir() else []

    def keep_newest(self, count: int = KEPT) -> None:
        """Remove all but the `count` furthest, and what killed processes left behind."""
        self.sweep(frozenset(saved.path.name for saved in self.saved()[:count]))


def newest(saved: Iterable[Saved], spec: Spec, device: str) -> tuple[Checkpoint | None, list[str]]:
    """The first of these from which `spec` can go on, and what is wrong with those before it, a sentence each."""
    wrong: list[str] = []
    for one in saved:
        try:
            found = load(one)
            found.check(spec, device)
        except CheckpointError as error:
            wrong.append(str(error))
        else:
            return found, wrong
    return None, wrong


class Rhythm:
    """Says when a checkpoint is due, so that they cost at most COST_SHARE of the training time.

    One that took c seconds is followed by the next after c / COST_SHARE seconds at the earliest, at the end of an
    epoch; but where LONGEST_SECONDS have gone by, at once, in the middle of an epoch too.
    """

    def __init__(self) -> None:
        self._since, self._cost = time.monotonic(), 0.0

    def due(self, *, epoch_ends: bool) -> bool:
        """Whether one is to be taken now."""
        passed = time.monotonic() - self._since
        return passed >= LONGEST_SECONDS or (epoch_ends and self._cost <= COST_SHARE * passed)

    @contextmanager
    def taking(self) -> Iterator[None]:
        """Within, one is taken."""
        start = time.monotonic()
        yield
        self._since = time.monotonic()
        self._cost = self._since - start
