"""What a run looks like in a terminal: a live bar while it goes, a table of the last metrics when it has ended."""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from ncmix.results import Run, Snapshot, Tick

out = Console()

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


def number(value: float | None) -> str:
    """Three significant digits, at most nine characters; a dash where the value is undefined."""
    return "–" if value is None else f"{value:.3g}"


class Bar:
    """A live progress bar; where the output is no terminal, a line now and then instead."""

    def __init__(self, title: str, epochs: int, console: Console = out) -> None:
        self.title, self.epochs, self.console = title, epochs, console
        self.shown: dict[str, float | None] = {}
        self.quarters = 0
        columns = (TextColumn("{task.description}"), BarColumn(None), TextColumn("{task.fields[numbers]}"))
        times = (TextColumn("[dim]eta"), TimeRemainingColumn(compact=True))
        self.progress = Progress(*columns, *times, console=console, expand=True)
        self.task = self.progress.add_task(escape(title), total=epochs, numbers=self._numbers(0))

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:
            self.progress.stop()

    def tick(self, tick: Tick) -> None:
        """Move within an epoch."""
        self.progress.update(self.task, completed=tick.epoch - 1 + tick.step / tick.steps)

    def snapshot(self, snapshot: Snapshot) -> None:
        """Show an epoch's numbers; on no terminal, a line at every measured epoch."""
        values = {f"{m.split} {m.name}": m.value for m in snapshot.metrics}
        self._move(snapshot.epoch, snapshot.epoch, values)
        if "train nc1" in values:
            self._line(snapshot.epoch)

    def update(self, epoch: int, done: float, values: Mapping[str, float | None]) -> None:
        """Show that `done` epochs are over (a fraction within one), with the newest values by `split name`.

        On no terminal, a line at every quarter of the way.
        """
        self._move(epoch, done, values)
        if (quarters := int(4 * done / self.epochs)) > self.quarters:
            self.quarters = quarters
            self._line(epoch)

    def _move(self, epoch: int, done: float, values: Mapping[str, float | None]) -> None:
        self.shown.update(values)
        self.progress.update(self.task, completed=done, numbers=self._numbers(epoch))

    def _line(self, epoch: int) -> None:
        if not self.console.is_terminal:
            self.console.print(f"{escape(self.title)}  {self._numbers(epoch)}", highlight=False, soft_wrap=True)

    def _numbers(self, epoch: int) -> str:
        labels = {"loss": "running loss", "acc": "running accuracy", "NC1": "train nc1"}
        values = [f"{label} {number(self.shown.get(name)):<8}" for label, name in labels.items()]
        return "  ".join([f"epoch {epoch:>{len(str(self.epochs))}}/{self.epochs}", *values])


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
