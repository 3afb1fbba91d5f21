"""What is under way, shown in a terminal: live bars, or where the output is no terminal a line now and then."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from ncmix.results import Snapshot, Tick

out = Console()
# How states look; the others are plain.
STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}
# In terminals of so many columns there is room for more numbers.
_ROOMY = 110
_FILE_WIDTH = 200


def roomy() -> Console:
    """The terminal; where the output is none, one so wide that nothing is cut off."""
    return out if out.is_terminal else Console(width=_FILE_WIDTH)


def number(value: float | None) -> str:
    """Three significant digits, at most nine characters; a dash where the value is undefined."""
    return "–" if value is None else f"{value:.3g}"


def bars(console: Console = out) -> Progress:
    """Room for bars, one below the other."""
    title = TextColumn("{task.description}", table_column=Column(ratio=2, no_wrap=True, overflow="ellipsis"))
    bar = BarColumn(None, table_column=Column(ratio=1, min_width=6))
    numbers = TextColumn("{task.fields[numbers]}", table_column=Column(no_wrap=True))
    return Progress(title, bar, numbers, _Left(compact=True, table_column=Column(no_wrap=True)), console=console,
                    expand=True)  # fmt: skip


class _Left(TimeRemainingColumn):
    """The time that is left, or a word in its place."""

    def render(self, task: Task) -> Text:
        word = task.fields["word"]
        if word:
            return Text(word, style=STYLES.get(word, ""))
        return Text("eta ", style="dim").append(super().render(task))


class Bar:
    """A live progress bar; where the output is no terminal, a line now and then instead."""

    def __init__(
        self, title: str, total: int, unit: str = "epoch", console: Console = out, within: Progress | None = None
    ) -> None:
        """
        Args:
            title: what goes on.
            total: how many there are of `unit`.
            unit: what is counted.
            console: where it is shown.
            within: the room for it, which others look after; by default its own.
        """
        self.title, self.total, self.unit, self.console = title, total, unit, console
        self.shown: dict[str, float | None] = {}
        self.quarters = 0
        self.progress = within or bars(console)
        self._own = within is None and console.is_terminal
        self.task = self.progress.add_task(escape(title), total=total, numbers=self._numbers(0), word="")
        if self._own:
            self.progress.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Leave it as it stands."""
        if self._own:
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

    def show(self, count: int, done: float, latest: Mapping[str, Mapping[str, float | None]]) -> None:
        """Show that `done` are over (a fraction within one), with the newest values by split and name.

        On no terminal, a line at every quarter of the way.
        """
        self._move(count, done, {f"{split} {name}": v for split, named in latest.items() for name, v in named.items()})
        # The last one is over with the last epoch, not with its last batch.
        most = 4 if count >= self.total else 3
        if (quarters := min(int(4 * done / self.total), most)) > self.quarters:
            self.quarters = quarters
            self._line(count)

    def say(self, word: str) -> None:
        """Show a word in the place of the time that is left, such as the state of what does not run."""
        self.progress.update(self.task, word=word)

    def _move(self, count: int, done: float, values: Mapping[str, float | None]) -> None:
        self.shown.update(values)
        self.progress.update(self.task, completed=done, numbers=self._numbers(count))

    def _line(self, count: int) -> None:
        if not self.console.is_terminal:
            self.console.print(f"{escape(self.title)}  {self._numbers(count)}", highlight=False, soft_wrap=True)

    def _numbers(self, count: int) -> str:
        labels = {"loss": "running loss", "acc": "running accuracy", "NC1": "train nc1"}
        narrow = self.console.is_terminal and self.console.width < _ROOMY
        told = [] if self.unit != "epoch" else ["NC1"] if narrow else list(labels)
        values = [f"{label} {number(self.shown.get(labels[label])):<8}" for label in told]
        return "  ".join([f"{self.unit} {count:>{len(str(self.total))}}/{self.total}", *values])
