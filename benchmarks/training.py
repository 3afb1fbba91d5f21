"""Images/s of (a) our bare step on one resident batch, (b) our whole loop, (c) a plain PyTorch loop with a DataLoader.

`python -m benchmarks.training` (make bench-train). The three run in turn, round by round; numbers are medians over the
rounds, ratios the medians of each round's ratios. All use the same number of threads, batch size and precision.
"""

import argparse
import gc
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks import report
from benchmarks.clock import Work, interleaved, ratio
from benchmarks.report import Table
from benchmarks.subjects import Ours, Plain, pictures, spec
from ncmix.accelerate import Mode
from ncmix.numerics import prepare_process, resolve_device

COLUMNS = ("model", "mix", "batch", "how", "a step", "b loop", "c plain", "b/a", "b/c")


@dataclass(frozen=True)
class Case:
    """One row: what is trained and for how long; `mode` None leaves it to the trainer."""

    model: dict[str, Any]
    mix: str
    batch: int
    steps: int
    precision: str = "fp32"
    mode: Mode | None = None
    plain: bool = True

    @property
    def name(self) -> str:
        """The model as a word."""
        return " ".join(str(v) for v in self.model.values())


def on_cpu(quick: bool) -> list[Case]:
    """The small convolutional network of the presets' small scale, and ResNet-18 for a few steps."""
    small, large = {"kind": "convnet", "width": 0.0625 if quick else 0.5}, {"kind": "resnet18"}
    if quick:
        return [Case(small, mix, 16, 2) for mix in ("none", "mixup")]
    sizes = ((small, 128, 24), (large, 32, 2))
    return [Case(model, mix, batch, steps) for model, batch, steps in sizes for mix in ("none", "mixup")]


def on_gpu() -> list[Case]:
    """Both networks in bf16."""
    models = ({"kind": "convnet", "width": 0.5}, {"kind": "resnet18"})
    return [Case(model, mix, 128, 200, "bf16") for model in models for mix in ("none", "mixup")]


def measured(case: Case, device: torch.device, rounds: int, workers: int, folder: Path | None) -> tuple[Any, ...]:
    """The row of a case."""
    wanted = spec(model=case.model, mix=case.mix, batch_size=case.batch, precision=case.precision)
    data = pictures(case.batch * case.steps, device, folder)
    ours = Ours(wanted, device, data, case.mode)
    subjects: dict[str, Work] = {"a": ours.steps, "b": ours.epoch}
    if case.plain:
        subjects["c"] = Plain(wanted, device, data, workers).epoch
    rates = interleaved(subjects, rounds, device)
    a, b = median(rates["a"]), median(rates["b"])
    c = median(rates["c"]) if case.plain else None
    against = ratio(rates["b"], rates["c"]) if case.plain else None
    how = f"{case.precision} {case.mode or 'auto'}"
    return case.name, case.mix, str(case.batch), how, a, b, c, ratio(rates["b"], rates["a"]), against


def table(cases: list[Case], device: torch.device, rounds: int, workers: int, folder: Path | None) -> Iterator[Table]:
    """The table after each of its rows: whoever is stopped in the middle keeps what was measured."""
    rows: list[tuple[Any, ...]] = []
    for case in cases:
        rows.append(measured(case, device, rounds, workers, folder))
        gc.collect()  # the plain loop's processes and the device's memory go with the last reference
        yield Table(f"Training on {device}, images/s", COLUMNS, tuple(rows))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=__doc__)
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2, help="loader processes of the plain loop")
    parser.add_argument("--data", type=Path, help="pictures train/<class>/* and test/<class>/*; without, random ones")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    asked = parser.parse_args()
    prepare_process()
    device = resolve_device(asked.device)
    cases = on_gpu() if device.type == "cuda" and not asked.quick else on_cpu(asked.quick)
    made = None
    for made in table(cases, device, asked.rounds, asked.workers, asked.data):
        report.write("training", [made], rounds=asked.rounds, workers=asked.workers, quick=asked.quick)
    if made:
        report.show(made)


if __name__ == "__main__":
    main()
