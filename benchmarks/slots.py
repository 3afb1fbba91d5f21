"""How many experiments on one device at once train the most images: processes of a small network, 1, 2, 4, 8 of them.

`python -m benchmarks.slots`. Each process is what a worker's child is; all are started once, and as many of them as the
row says train while the others wait.
"""

import argparse
import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import IO, cast

from benchmarks import report
from benchmarks.report import Table

COLUMNS = ("processes", "images/s in all", "images/s of each", "against one")


def table(counts: list[int], seconds: float, device: str, width: float) -> Iterator[Table]:
    """The table after each of its rows."""
    title = f"Experiments at once on {device}, convnet {width:g}, batch 128"
    rows: list[tuple[str, float, float, float]] = []
    with contextlib.ExitStack() as stack:
        processes = [stack.enter_context(_process(device, width)) for _ in range(max(counts))]
        for process in processes:
            _say(process)  # "ready"
        for count in counts:
            total = sum(_trained(processes[:count], seconds))
            rows.append((str(count), total, total / count, total / (rows[0][1] if rows else total)))
            yield Table(title, COLUMNS, tuple(rows))


@contextlib.contextmanager
def _process(device: str, width: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.slots", "--child", "--device", device, "--width", str(width)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _trained(processes: list[subprocess.Popen[str]], seconds: float) -> list[float]:
    """Images/s of each while all of them train."""
    for process in processes:
        said = cast("IO[str]", process.stdin)
        said.write(f"{seconds}\n")
        said.flush()
    return [float(_say(process)) for process in processes]


def _say(process: subprocess.Popen[str]) -> str:
    line = cast("IO[str]", process.stdout).readline().strip()
    if not line:
        raise RuntimeError(f"A process of the benchmark ended with {process.wait()}; what it said is above.")
    return line


def _child(device: str, width: float) -> None:
    """Trains for as long as each line of the input says, and answers with images/s."""
    from benchmarks.subjects import Ours, pictures, spec  # noqa: PLC0415 - the parent needs no torch
    from ncmix.numerics import prepare_process, resolve_device  # noqa: PLC0415

    prepare_process()
    place = resolve_device(device)
    model = {"kind": "convnet", "width": width}
    precision = "bf16" if place.type == "cuda" else "fp32"
    wanted = spec(model=model, mix="mixup", batch_size=128, precision=precision)
    # Short epochs: each ends with the only wait for the device, as an experiment's do.
    ours = Ours(
        wanted,
        place,
        pictures(128 * (100 if place.type == "cuda" else 2), place, None),
        "graph" if place.type == "cuda" else "plain",
    )
    ours.epoch()
    print("ready", flush=True)
    for line in sys.stdin:
        start, images = time.perf_counter(), 0
        while (passed := time.perf_counter() - start) < float(line):
            images += ours.epoch()
        print(images / passed, flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.slots", description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--width", type=float, default=0.5)
    parser.add_argument("--seconds", type=float, default=5.0, help="how long each row trains")
    parser.add_argument("--slots", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        _child(asked.device, asked.width)
        return
    made = None
    for made in table(asked.slots, asked.seconds, asked.device, asked.width):
        report.write("slots", [made], seconds=asked.seconds)
    if made:
        report.show(made)


if __name__ == "__main__":
    main()
