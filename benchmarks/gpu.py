"""All that only a GPU can tell, in one command of less than eight minutes: `python -m benchmarks.gpu` (make bench-gpu).

1. a tenth of the preset papyan-ce in bf16, its measurements included, and the time that all of it would take;
2. training: our bare step, our loop, a plain loop; ResNet-18 in bf16, batch 128 and 512, plain, as graphs, compiled;
3. one measurement of 50,000 pictures against one forward pass over them;
4. what `deterministic: true` costs;
5. how many small experiments at once train the most.

`--quick --device cpu` runs the same with tiny sizes. Every table is shown and written to build/bench/gpu.json as soon
as it is there; what a section raises is a line in it, and the next one goes on.
"""

import argparse
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch

from benchmarks import measuring, report, slots, training
from benchmarks.clock import interleaved, ratio, seconds
from benchmarks.report import Table
from benchmarks.subjects import Ours, pictures, spec
from benchmarks.training import Case
from ncmix.accelerate import Mode
from ncmix.datasets.base import Data, Whole
from ncmix.numerics import prepare_process, resolve_device

Section = Callable[[], Iterator[Table]]

_EPOCHS, _IMAGES = 350, 50_000


def _resnet(quick: bool) -> dict[str, Any]:
    return {"kind": "resnet18", **({"width": 0.0625} if quick else {})}


def cases(quick: bool) -> list[Case]:
    """What is trained: every way to run ResNet-18 that the device has, the plain loop beside the first of each size."""
    if quick:
        plain = (("none", True), ("mixup", False))
        return [Case(_resnet(quick), mix, 8, 2, "bf16", "plain", plain=also) for mix, also in plain]
    modes: tuple[Mode, ...] = ("graph", "plain", "compiled")
    erm = [
        Case(_resnet(quick), "none", batch, 25_600 // batch, "bf16", mode, plain=mode == "graph")
        for batch in (128, 512)
        for mode in modes
    ]
    return [*erm, Case(_resnet(quick), "mixup", 128, 200, "bf16", "graph")]


def trained(quick: bool, device: torch.device, folder: Path | None) -> Iterator[Table]:
    """The table of training."""
    return training.table(cases(quick), device, 1 if quick else 3, 0 if quick else 4, folder)


def published(quick: bool, device: torch.device, folder: Path | None) -> Iterator[Table]:
    """As many epochs as a tenth of papyan-ce, and as many measurements; what happens once is apart."""
    epochs, images = (2, 16) if quick else (_EPOCHS // 10, _IMAGES)
    ours = _as_published(quick, device, pictures(images, device, folder))

    def measure() -> int:
        return measuring.measured(ours, ours.trainer.measurer)

    first, searched = seconds(ours.epoch, device), seconds(measure, device)
    epoch = fmean(seconds(ours.epoch, device) for _ in range(epochs))
    measurement = fmean(seconds(measure, device) for _ in range(0, epochs, 7))
    more = (_EPOCHS - 1) * epoch + (len(ours.trainer.spec.measured_epochs) - 1) * measurement
    rows = [("its first epoch, with compiling", first), ("its first measurement, with searching", searched)]
    rows += [("a further epoch", epoch), ("a further measurement", measurement)]
    rows.append((f"all {_EPOCHS} epochs, {len(ours.trainer.spec.measured_epochs)} measured", first + searched + more))
    yield Table(f"papyan-ce in bf16, {images} pictures", ("what", "seconds"), rows)


def _as_published(quick: bool, device: torch.device, data: Data) -> Ours:
    """CIFAR-10 has a fifth as many pictures to test as to train on."""
    fifth = next(data.test.batches(len(data.test) // 5))
    asked = {"measure": {"epochs": "papyan"}, "features": {"keep": "none"}, "precision": "bf16"}
    wanted = spec(model=_resnet(quick), batch_size=8 if quick else 128, **asked)
    return Ours(wanted, device, replace(data, test=Whole(*fifth)))


def deterministic(quick: bool, device: torch.device) -> Iterator[Table]:
    """Our loop with and without deterministic kernels only."""
    batch, steps = (8, 2) if quick else (128, 200)
    data = pictures(batch * steps, device, None)
    runs = {
        name: Ours(
            spec(model=_resnet(quick), batch_size=batch, precision="bf16", deterministic=name == "true"),
            device,
            data,
            "plain" if device.type == "cpu" else "graph",
        )
        for name in ("false", "true")
    }
    rates = interleaved({name: run.epoch for name, run in runs.items()}, 1 if quick else 3, device)
    rows = [(name, sorted(r)[len(r) // 2], ratio(r, rates["false"])) for name, r in rates.items()]
    yield Table(f"deterministic, ResNet-18, batch {batch}", ("deterministic", "images/s", "against false"), rows)


def sections(quick: bool, device: torch.device, folder: Path | None) -> dict[str, Section]:
    """In order of weight: who is stopped early has the numbers that matter most."""
    counts, each, width = ([1, 2], 0.1, 0.0625) if quick else ([1, 2, 4, 8], 5.0, 0.5)
    return {
        "published": lambda: published(quick, device, folder),  # first: nothing is compiled yet
        "training": lambda: trained(quick, device, folder),
        "measuring": lambda: measuring.table(_resnet(quick), 40 if quick else _IMAGES, device, 1 if quick else 3),
        "deterministic": lambda: deterministic(quick, device),
        "slots": lambda: slots.table(counts, each, str(device), width),
    }


def run(wanted: dict[str, Section], **settings: Any) -> list[Table]:
    """Every section's last tables, written as they come."""
    done: list[Table] = []
    for name, section in wanted.items():
        start, made = time.perf_counter(), dict[str, Table]()
        try:
            for made_now in section():
                made[made_now.title] = made_now
                report.write("gpu", [*done, *made.values()], **settings)
        except Exception as error:  # the other sections' numbers are worth having
            traceback.print_exc()
            made[name] = Table(name, ("failed",), [(f"{type(error).__name__}: {error}",)])
        done += made.values()
        for table in made.values():
            report.show(table)
        print(f"{name} took {time.perf_counter() - start:.0f} s", flush=True)
        report.write("gpu", done, **settings)
    return done


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--data", type=Path, help="pictures train/<class>/* and test/<class>/*; without, random ones")
    parser.add_argument(
        "--only", nargs="+", metavar="SECTION", help="published, training, measuring, deterministic, slots"
    )
    parser.add_argument("--quick", action="store_true", help="tiny sizes: whether it runs, not how fast")
    asked = parser.parse_args()
    prepare_process()
    device = resolve_device(asked.device)
    all_of_them = sections(asked.quick, device, asked.data)
    if strange := set(asked.only or ()) - set(all_of_them):
        parser.error(f"there is no section {', '.join(sorted(strange))}; allowed are {', '.join(all_of_them)}")
    run({n: s for n, s in all_of_them.items() if n in (asked.only or all_of_them)}, quick=asked.quick)


if __name__ == "__main__":
    main()
