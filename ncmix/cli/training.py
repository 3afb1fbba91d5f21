"""What `ncmix train` and `ncmix extend` share: a run into a folder, its checkpoints, and a stop that loses nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from click.exceptions import Exit

from ncmix.cli.display import final_table
from ncmix.results import Snapshot, Tick
from ncmix.spec import Spec, parse
from ncmix.terminal import Bar, out

if TYPE_CHECKING:
    from ncmix.checkpoint import Checkpoint
    from ncmix.rundir import RunWriter
    from ncmix.train import Training

CHECKPOINTS = "checkpoints"


def start(spec: Spec, folder: Path) -> None:
    """Train from the start into a folder that is new or empty."""
    from ncmix.manifest import manifest
    from ncmix.numerics import resolve_device
    from ncmix.rundir import RunWriter
    from ncmix.train import run

    device = resolve_device(spec.device)
    training = run(spec, device.type)
    first = next(training)  # data are loaded by now: what cannot begin leaves no folder behind
    _train(training, first, RunWriter.create(folder, manifest(spec, device)))


def resume(folder: Path) -> None:
    """Go on where the run in a folder was interrupted: what is later than its last checkpoint is trained again."""
    from ncmix.rundir import RunDirError, RunWriter
    from ncmix.train import run

    spec = spec_of(folder)
    found = _newest(folder, spec)
    if found and found.key == spec.key and found.epoch == spec.epochs:
        raise RunDirError(
            f"The run in {folder} has come to its end; ncmix extend {folder} --epochs N goes on from there."
        )
    training = run(spec, resume=found)
    first = next(training)
    _train(training, first, RunWriter.resume(folder, found.epoch if found else -1))


def extend(folder: Path, spec: Spec, target: Path) -> None:
    """Train the run in a folder on, as a `spec` that extends it: `target` becomes a whole run, with all epochs."""
    from ncmix.checkpoint import Checkpoints
    from ncmix.manifest import manifest
    from ncmix.numerics import resolve_device
    from ncmix.rundir import RunDirError, RunWriter
    from ncmix.train import run

    device = resolve_device(spec.device)
    found = _newest(folder, spec)
    if found is None:
        raise RunDirError(f"The run in {folder} has not come to its end; ncmix train --resume {folder} takes it there.")
    training = run(spec, device.type, resume=found)
    first = next(training)
    writer = RunWriter.create(target, manifest(spec, device), parent=folder)
    Checkpoints(target / CHECKPOINTS).write(found)  # so that the new folder can be resumed by itself from the first
    _train(training, first, writer)


def spec_of(folder: Path) -> Spec:
    """The spec of the run in a folder.

    Raises:
        RunDirError: there is none.
    """
    from ncmix.rundir import RunDirError

    try:
        return parse(json.loads((folder / "manifest.json").read_text())["spec"])
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise RunDirError(
            f"There is no run to go on with in {folder}: its manifest.json cannot be used. {error}"
        ) from error


def _newest(folder: Path, spec: Spec) -> Checkpoint | None:
    """The furthest checkpoint that can be used; None if the run ended before its first.

    Raises:
        CheckpointError: there are some, and none can be used.
    """
    from ncmix.checkpoint import CheckpointError, Checkpoints, newest
    from ncmix.numerics import resolve_device

    saved = Checkpoints(folder / CHECKPOINTS).saved()
    found, wrong = newest(saved, spec, resolve_device(spec.device).type)
    if saved and found is None:
        raise CheckpointError(" ".join(wrong))
    for sentence in wrong:
        out.print(f"{sentence} The one before it is used.", highlight=False)
    return found


def _train(training: Training, first: Tick | Snapshot, writer: RunWriter) -> None:
    """Take every item of a training into a folder, with checkpoints as they are due, at a stop, and at the end."""
    keeper = _Keeper(training, writer)
    try:
        with _stopping() as asked, Bar(training.spec.title, training.spec.epochs) as bar:
            for item in chain([first], training):
                _write(item, writer, bar)
                if asked:
                    break
                keeper.consider(epoch_ends=isinstance(item, Snapshot))
        keeper.take()
    finally:
        writer.finish()  # also when it has diverged: what was measured stays
    _say_goodbye(training, writer.folder, asked)


class _Keeper:
    """Takes checkpoints of one training."""

    def __init__(self, training: Training, writer: RunWriter) -> None:
        from ncmix.checkpoint import Checkpoints, Rhythm

        self._training, self._writer, self._rhythm = training, writer, Rhythm()
        self._files = Checkpoints(writer.folder / CHECKPOINTS)

    def consider(self, *, epoch_ends: bool) -> None:
        """Take one if it is due."""
        if self._rhythm.due(epoch_ends=epoch_ends):
            self.take()

    def take(self) -> None:
        """Take one now, unless nothing was trained yet; the last one of a run stays alone."""
        from ncmix.checkpoint import KEPT

        now = self._training.checkpoint()
        if now.begun:
            with self._rhythm.taking():
                self._writer.sync()
                self._files.write(now)
                self._files.keep_newest(1 if now.epoch == self._training.spec.epochs else KEPT)


def _write(item: Tick | Snapshot, writer: RunWriter, bar: Bar) -> None:
    match item:
        case Tick():
            bar.tick(item)
        case Snapshot():
            writer.add(item)
            bar.snapshot(item)


@contextmanager
def _stopping() -> Iterator[list[int]]:
    """Within: the first SIGINT or SIGTERM is put into the list, a second one does what it always did."""
    asked: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: object) -> None:
        asked.append(number)
        restore()

    for number in before:
        signal.signal(number, note)
    try:
        yield asked
    finally:
        restore()


def _say_goodbye(training: Training, folder: Path, asked: list[int]) -> None:
    from ncmix.rundir import read

    now = training.checkpoint()
    if now.epoch < training.spec.epochs:
        out.print(
            f"Stopped after epoch {now.epoch}, step {now.step}; [bold]ncmix train --resume {folder}[/] goes on.",
            highlight=False,
            soft_wrap=True,
        )
        raise Exit(128 + asked[0])
    out.print(final_table([read(folder)]))
    out.print(f"Written to [bold]{folder}[/]; [bold]ncmix plot nc {folder}[/] draws it.", highlight=False)
