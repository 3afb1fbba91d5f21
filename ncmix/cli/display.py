"""What a run looks like in a terminal: a live bar while it goes, a table of the last metrics when it has ended."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from ncmix.results import Run, Snapshot, Tick

out = Console()

# The rows of the final table: metric, what it says.
SHOWN = {
    "accuracy": "share classified correctly",
    "loss": "training objective on clean data",
    "nc0": "classifiers sum to zero → 0",
    "nc1": "features shrink to their class mean → 0",
    "nc2_norm_means": "class means equally long → 0",
    "nc2_angle_means": "class means maximally apart → 0",
    "nc2_norm_weights": "classifiers equally long → 0",
    "nc2_angle_weights": "classifiers maximally apart → 0",
    "nc3": "classifiers align with class means → 0",
    "nc4": "disagrees with the nearest class mean → 0",
    "mix_amplification": "mixed features beyond their means; convex combination = 1",
    "mix_same_alignment": "same-class mixtures along their classifier → 1",
}


def number(value: float | None) -> str:
    """Four significant digits; a dash where the value is undefined."""
    return "–" if value is None else f"{value:.4g}"


class Bar:
    """A live progress bar; where the output is no terminal, a line at every measured epoch instead."""

    def __init__(self, title: str, epochs: int, console: Console = out) -> None:
        self.epochs, self.console = epochs, console
        self.shown: dict[str, float | None] = {}
        columns = (TextColumn("{task.description}"), BarColumn(28), TaskProgressColumn())
        times = (TimeElapsedColumn(), TextColumn("[dim]eta"), TimeRemainingColumn())
        self.progress = Progress(*columns, TextColumn("{task.fields[numbers]}"), *times, console=console)
        self.task = self.progress.add_task(title, total=epochs, numbers=self._numbers(0))

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def tick(self, tick: Tick) -> None:
        """Move within an epoch."""
        self.progress.update(self.task, completed=tick.epoch - 1 + tick.step / tick.steps)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show an epoch's numbers."""
        values = {f"{m.split} {m.name}": m.value for m in snapshot.metrics}
        self.update(snapshot.epoch, snapshot.epoch, values)
        if not self.console.is_terminal and "train nc1" in values:
            self.console.print(
                f"{self.progress.tasks[0].description}  {self._numbers(snapshot.epoch)}", highlight=False
            )

    def update(self, epoch: int, done: float, values: Mapping[str, float | None]) -> None:
        """Show that `done` epochs are over (a fraction within one), with the newest values by `split name`."""
        self.shown.update(values)
        self.progress.update(self.task, completed=done, numbers=self._numbers(epoch))

    def _numbers(self, epoch: int) -> str:
        labels = {"loss": "running loss", "acc": "running accuracy", "NC1": "train nc1"}
        values = [f"{label} {number(self.shown.get(name)):<7}" for label, name in labels.items()]
        return "  ".join([f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}", *values])


def final_table(runs: Sequence[Run]) -> Table:
    """The last metrics of runs side by side, train and test."""
    table = Table(title="Neural collapse at the last measured epoch", title_justify="left")
    table.add_column("metric", no_wrap=True)
    for run in runs:
        table.add_column(f"{run.title}\ntrain", justify="right")
        table.add_column("\ntest", justify="right")
    table.add_column("meaning", style="dim")
    for name, meaning in SHOWN.items():
        cells = [number(run.last(name, split)) for run in runs for split in ("train", "test")]
        if any(cell != "–" for cell in cells):
            table.add_row(name, *cells, meaning)
    return table
