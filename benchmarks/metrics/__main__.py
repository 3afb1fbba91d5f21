"""`python -m benchmarks.metrics [--peer DIR] [--imagenet]`: what the table costs, and what others take for theirs."""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import machine
from benchmarks.metrics import notebook
from benchmarks.metrics.cases import CASES, IMAGENET, Case, Features
from benchmarks.metrics.peer import TILE, Peer
from ncmix import metrics, stats
from ncmix.stats import Chunks, Extras

READ, NOTEBOOK = "one read of the features", "the notebook's method"
PEER, TILED = "rhubarbwu/neural-collapse", "rhubarbwu/neural-collapse, in tiles"
WHOLE = "… and effective rank: the whole table"
OURS = {
    "NC0–NC4, accuracies, loss": Extras(calibration=False, temperature=False, spectrum=False),
    "… with calibration": Extras(temperature=False, spectrum=False),
    "… and temperature (test split)": Extras(spectrum=False),
    WHOLE: Extras(),
}

Works = dict[str, Callable[[], object]]


def main() -> None:
    """Measure, print, write."""
    asked = _arguments()
    peer = Peer(asked.peer) if asked.peer else None
    console = Console(width=None if sys.stdout.isatty() else 130)
    facts = machine.facts()
    console.print(f"{facts['cpu']}, {facts['threads']} threads, torch {facts['torch']}, {facts['date']}")
    cases = []
    for case in CASES:
        cases.append(_measure(case, peer, asked.rounds, asked.notebook))
        console.print(_table(cases[-1]))
    imagenet = _imagenet() if asked.imagenet else None
    if imagenet:
        console.print(f"{IMAGENET}: {imagenet['seconds']:.0f} s, {imagenet['extra_mb']:,.0f} MB")
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    asked.out.write_text(json.dumps({"machine": facts, "cases": cases, "imagenet": imagenet}, indent=1) + "\n")
    console.print(f"written to {asked.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metrics", description=__doc__)
    parser.add_argument("--peer", type=Path, help="a checkout of rhubarbwu/neural-collapse; left out if not given")
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which all take turns; the medians count")
    parser.add_argument("--no-notebook", dest="notebook", action="store_false", help="leave out the slow notebook")
    parser.add_argument("--imagenet", action="store_true", help=f"also {IMAGENET}, streamed (many minutes)")
    parser.add_argument("--out", type=Path, default=Path("build/bench/metrics.json"))
    return parser.parse_args()


def _measure(case: Case, peer: Peer | None, rounds: int, with_notebook: bool) -> dict[str, Any]:
    features = Features(case)
    h_ND, y_N = features.whole()
    works: Works = {READ: h_ND.sum}
    for name, extras in OURS.items():
        works[name] = lambda extras=extras: _ours([(h_ND, y_N)], features, extras)
    if peer:
        works |= _peers_works(case, lambda tile: peer.table(h_ND, y_N, features.w_KD, tile))
    found = machine.timed(works, rounds)
    memory = {name: machine.extra_memory(work) for name, work in works.items() if name != READ}
    if with_notebook:
        found |= machine.timed({NOTEBOOK: lambda: notebook.table(h_ND, y_N, features.w_KD)}, 0)
    values = {name: found[name][1] for name in (WHOLE, PEER, TILED, NOTEBOOK) if name in found}
    differences = {name: _differences(values[WHOLE], theirs) for name, theirs in values.items() if name != WHOLE}
    taken = {name: seconds for name, (seconds, _) in found.items()}
    return {"case": str(case), "seconds": taken, "extra_mb": memory, "differences": differences}


def _peers_works(case: Case, table: Callable[[int | None], object]) -> Works:
    """As it is by default, where that fits into memory, and in tiles where it makes a difference."""
    grid = 4 * case.classes**2 * case.dimension
    works: Works = {}
    if 2.2 * grid < machine.available_memory():  # two grids at its peak
        works[PEER] = lambda: table(None)
    if grid > 1 << 30:
        works[TILED] = lambda: table(TILE)
    return works


def _ours(chunks: Chunks, features: Features, extras: Extras) -> dict[str, float | None]:
    return {m.name: m.value for m in metrics.tabulate("test", stats.statistics(chunks, features.w_KD, extras=extras))}


def _differences(ours: Any, theirs: Any) -> dict[str, float]:
    """How far their values are from ours, relative, or absolute below a thousandth."""
    shared = ours.keys() & theirs.keys()
    return {n: abs(theirs[n] - ours[n]) / max(abs(ours[n]), 1e-3) if ours[n] is not None else math.nan for n in shared}


def _table(found: dict[str, Any]) -> Table:
    taken, memory = found["seconds"], found["extra_mb"]
    table = Table(title=found["case"], title_justify="left")
    others = {PEER: "peer ÷ this", TILED: "tiled peer ÷ this", NOTEBOOK: "notebook ÷ this"}
    others = {name: title for name, title in others.items() if name in taken}
    for column in ("", "seconds", "reads", *others.values(), "extra MB"):
        table.add_column(column, justify="right" if column else "left")
    for name, seconds in taken.items():
        ratios = [f"{taken[other] / seconds:.1f}" for other in others]
        shown = f"{memory[name]:.0f}" if name in memory else ""
        table.add_row(name, f"{seconds:.4g}", f"{seconds / taken[READ]:.1f}", *ratios, shown)
    worst = {name: max(values.values()) for name, values in found["differences"].items()}
    table.caption = "; ".join(f"{name}: same values to {value:.1e}" for name, value in worst.items())
    return table


def _imagenet() -> dict[str, float]:
    """In a child process on one thread, from chunks that are made when they are asked for."""
    features = Features(IMAGENET)
    start = time.perf_counter()
    grown = machine.extra_memory(lambda: _ours(features, features, Extras(temperature=False)))
    return {"seconds": time.perf_counter() - start, "extra_mb": grown}


if __name__ == "__main__":
    main()
