"""What a run looks like in a terminal when it has ended: a table of its last metrics."""

from collections.abc import Sequence

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


def final_table(runs: Sequence[Run]) -> Table:
    """The last metrics of runs side by side, train and test, and what they mean where there is room for it."""
    explained = len(runs) == 1 and out.width >= 100
    table = Table(title="Neural collapse at the last measured epoch", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("\nmetric", no_wrap=True)
    for run in runs:
        table.add_column(f"{escape(run.title)}\n{'train':>9} {'test':>9}", justify="right", no_wrap=True)
    table.add_column("\ncollapsed", justify="right", style="dim", no_wrap=True)
    if explained:
        table.add_column("", style="dim", no_wrap=True)
    for name, (collapsed, meaning) in SHOWN.items():
        values = [[run.last(name, split) for split in ("train", "test")] for run in runs]
        if any(value is not None for pair in values for value in pair):
            cells = [" ".join(f"{number(value):>9}" for value in pair) for pair in values]
            table.add_row(name, *cells, collapsed, *([meaning] if explained else []))
    return table


def run_of(experiment: Experiment) -> Run:
    """An experiment of a service, with its metrics, as a run."""
    rows = (MetricRow(r["epoch"], r["split"], r["name"], r["value"]) for r in experiment.metric_rows())
    return Run(experiment.title, experiment.spec, tuple(rows))
