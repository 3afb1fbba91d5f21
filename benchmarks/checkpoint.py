"""What a checkpoint of ResNet-18 costs, beside an epoch of its training: `python -m benchmarks.checkpoint`.

Written as the trainer writes it: SHA-256, temporary file, fsync, rename, fsync of the folder.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from benchmarks import report
from benchmarks.report import Table
from benchmarks.subjects import Ours, pictures, spec
from ncmix.checkpoint import COST_SHARE, Checkpoints
from ncmix.numerics import prepare_process, resolve_device

IMAGES = 50_000
COLUMNS = ("optimizer", "MB", "seconds", "an epoch, s", "% of an epoch", "not before, s")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.checkpoint", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="a small network: whether it runs, not how fast")
    asked = parser.parse_args()
    prepare_process()
    report.FOLDER.mkdir(parents=True, exist_ok=True)
    made = table(resolve_device(asked.device), asked.rounds, quick=asked.quick)
    report.write("checkpoint", [made], rounds=asked.rounds, quick=asked.quick)
    report.show(made)


def table(device: torch.device, rounds: int, *, quick: bool) -> Table:
    """One row for each optimizer: SGD keeps one number beside each weight, Adam two."""
    model = {"kind": "convnet", "width": 0.125} if quick else {"kind": "resnet18"}
    rows: list[tuple[str | float | None, ...]] = []
    for optimizer in ("sgd", "adam"):
        wanted = spec(model=model, optimizer=optimizer, batch_size=32)
        rows.append((optimizer, *_measured(Ours(wanted, device, pictures(64, device, None)), rounds)))
    return Table(f"A checkpoint of {model['kind']} on {device}", COLUMNS, rows)


def _measured(ours: Ours, rounds: int) -> tuple[float, ...]:
    ours.epoch()
    start = time.perf_counter()
    epoch = IMAGES / ours.epoch() * (time.perf_counter() - start)
    with tempfile.TemporaryDirectory(dir=report.FOLDER) as folder:
        taken = [_write(Checkpoints(Path(folder)), ours) for _ in range(rounds)]
    seconds = median(seconds for seconds, _ in taken)
    return taken[0][1] / 1e6, seconds, epoch, 100 * seconds / epoch, seconds / COST_SHARE


def _write(store: Checkpoints, ours: Ours) -> tuple[float, int]:
    """Seconds and bytes."""
    start = time.perf_counter()
    saved = store.write(ours.trainer.checkpoint())
    return time.perf_counter() - start, saved.size


if __name__ == "__main__":
    main()
