"""What a run looks like in a terminal when it has ended: a table of its last metrics."""

from collections.abc import Iterator, Sequence
from textwrap import fill

from rich import box
from rich.markup import escape
from rich.table import Table

from ncmix.client import Experiment
from ncmix.results import MetricRow, Run
from ncmix.terminal import number, out

# The rows of the final table: metric, its value in a collapsed network, what it says.
SHOWN = {
    "accuracy": ("1", "classified correctly"),
    "loss": ("0", "training objective, clean data"),
    "nc0": ("0", "classifiers sum to zero"),
    "nc1": ("0", "features shrink to class means"),
    "nc2_norm_means": ("0", "class means equally long"),
    "nc2_angle_means": ("0", "class means maximally apart"),
    "nc2_norm_weights": ("0", "classifiers equally long"),
    "nc2_angle_weights": ("0", "classifiers maximally apart"),
    "nc3": ("0", "classifiers align with means"),
    "nc4": ("0", "not the nearest class mean's"),
    "minority_cosine": ("", "1 = minority has one classifier"),
    "mix_amplification": ("", "1 = convex combination"),
    "mix_same_alignment": ("1", "same-class mix on classifier"),
}

# What the numbers of a run need.
_RUN_WIDTH = 19


def final_table(runs: Sequence[Run]) -> Table:
    """The last metrics of runs side by side, train and test, and what they mean where there is room for it."""
    explained = len(runs) == 1 and out.width >= 100
    room = 28 if len(runs) == 1 else _RUN_WIDTH
    table = Table(title="Neural collapse at the last measured epoch", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("metric", no_wrap=True, vertical="bottom")
    for run in runs:
        title = escape(fill(run.title, room))
        table.add_column(f"{title}\n{'train':>9} {'test':>9}", justify="right", no_wrap=True, vertical="bottom")
    table.add_column("collapsed", vertical="bottom", justify="right", style="dim", no_wrap=True)
    if explained:
        table.add_column("", style="dim", no_wrap=True, vertical="bottom")
    for name, (collapsed, meaning) in SHOWN.items():
        values = [[run.last(name, split) for split in ("train", "test")] for run in runs]
        if any(value is not None for pair in values for value in pair):
            cells = [" ".join(f"{number(value):>9}" for value in pair) for pair in values]
            table.add_row(name, *cells, collapsed, *([meaning] if explained else []))
    return table


def final_tables(runs: Sequence[Run]) -> Iterator[Table]:
    """The same of many runs: as many tables as it takes for each to fit the terminal."""
    beside = max(len(name) for name in SHOWN) + len("collapsed") + 8
    at_once = max(1, (out.width - beside) // (_RUN_WIDTH + 2))
    for first in range(0, len(runs), at_once):
        yield final_table(runs[first : first + at_once])


def run_of(experiment: Experiment) -> Run:
    """An experiment of a service, with its metrics, as a run."""
    rows = (MetricRow(r["epoch"], r["split"], r["name"], r["value"]) for r in experiment.metric_rows())
    return Run(experiment.title, experiment.spec, tuple(rows))
