"""`ncmix sweep`: many experiments by one file, sent to a service, and looked after there."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.exceptions import Exit
from rich import box
from rich.markup import escape
from rich.table import Table

from ncmix.cli.remote import print_json, remote
from ncmix.cli.remote_watch import NOT_SUCCEEDED
from ncmix.cli.words import duration, size
from ncmix.client import Client, Sweep
from ncmix.spec import SpecError, expand, parse_sweep, read_yaml
from ncmix.terminal import number, out, roomy

# Of a table: its name, and what stands in it from top to bottom.
Column = tuple[str, Sequence[str]]


class _FileFirst(click.Group):
    """A group in which a first word that is no command is a file for `submit`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in {*self.commands, *ctx.help_option_names}:
            args = ["submit", *args]
        return super().parse_args(ctx, args)


_sweep = click.argument("word", metavar="ID")


@click.group(cls=_FileFirst, subcommand_metavar="FILE | COMMAND [ARGS]...")
def sweep() -> None:
    """Queue every experiment of a sweep: `ncmix sweep FILE`, which is short for `ncmix sweep submit FILE`.

    FILE is YAML or JSON: a base spec, a grid, a list or a random sample of what varies, and seeds.

    \b
    Examples
      ncmix sweep examples/sweeps/digits.yaml --dry-run
      ncmix sweep examples/sweeps/digits.yaml
      ncmix sweep table ID --rows loss.kind --columns mix.kind --metric nc1
    """


@sweep.command(short_help="Queue every experiment of FILE, or what of it is missing.")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Say how many cells there are and what they will take; queue nothing.")
@click.option("--watch", is_flag=True, help="Stay until nothing of it is under way, as `ncmix sweep watch` does.")
@remote
def submit(client: Client, file: Path, dry_run: bool, watch: bool, as_json: bool) -> None:
    """Queue every experiment of the sweep in FILE; once more, what is missing, failed or cancelled of it."""
    definition = parse_sweep(_read(file))
    expand(definition)  # What is wrong is said here, before anything is sent.
    if dry_run:
        plan = client.plan_sweep(definition)
        print_json(plan) if as_json else _plan(plan)
        return
    made = client.submit_sweep(definition)
    if watch:
        _watch(made, as_json)
    elif as_json:
        print_json(made.answer)
    else:
        out.print(f"{made.made} experiments queued, {made.shared} were there already.", highlight=False)
        _status(made)


@sweep.command("ls")
@remote
def list_sweeps(client: Client, as_json: bool) -> None:
    """List sweeps, newest first."""
    if as_json:
        print_json({"items": [found.answer for found in client.sweeps()]})
        return
    found = list(client.sweeps())
    for each in found:
        _status(each)
    if not found:
        out.print("[dim]There is no sweep yet.[/]")


@sweep.command()
@_sweep
@remote
def show(client: Client, word: str, as_json: bool) -> None:
    """How far the sweep ID is."""
    _show(client.sweep(word), as_json)


@sweep.command(short_help="Stay until nothing of it is under way.")
@_sweep
@remote
def watch(client: Client, word: str, as_json: bool) -> None:
    """Stay until nothing of the sweep ID is under way; exits with 0 only if all of it has succeeded."""
    _watch(client.sweep(word), as_json)


@sweep.command(short_help="Ask its own experiments to end.")
@_sweep
@remote
def cancel(client: Client, word: str, as_json: bool) -> None:
    """Ask the experiments of sweep ID to end that are in no other sweep, and were not submitted by themselves."""
    _show(client.sweep(word).cancel(), as_json)


@sweep.command("retry-failed", short_help="Queue what is missing, failed or cancelled of it.")
@_sweep
@remote
def retry_failed(client: Client, word: str, as_json: bool) -> None:
    """Queue what of the sweep ID is missing, failed or cancelled."""
    _show(client.sweep(word).retry(), as_json)


@sweep.command(short_help="Remove it; its experiments stay.")
@_sweep
@click.option("--experiments", is_flag=True, help="Its own experiments, too, with all metrics and features.")
@remote
def rm(client: Client, word: str, experiments: bool, as_json: bool) -> None:
    """Remove the sweep ID; its experiments stay on record unless asked otherwise."""
    found = client.sweep(word)
    found.delete(experiments)
    print_json({"removed": found.id}) if as_json else click.echo(f"{found.id}  removed")


@sweep.command(short_help="Means ± deviations over the seeds of each spec.")
@_sweep
@click.option("--metrics", metavar="NAME,…", help="[default: accuracy, loss and NC1 to NC4]")
@click.option("--split", type=click.Choice(["train", "test"]), help="[default: both; train in a matrix]")
@click.option("--epoch", type=int, metavar="N", help="[default: the last of each that has succeeded]")
@click.option("--rows", metavar="FIELD", help="A matrix: the field of its rows, such as loss.kind.")
@click.option("--columns", metavar="FIELD", help="And of its columns.")
@click.option("--metric", metavar="NAME", help="And what is in it.")
@remote
def table(client: Client, word: str, as_json: bool, **asked: Any) -> None:
    """Means ± standard deviations of metrics over the seeds of each spec of the sweep ID."""
    answer = client.sweep(word).table(**{name: value for name, value in asked.items() if value is not None})
    if as_json:
        print_json(answer)
    elif answer["matrix"]:
        _matrix(answer["matrix"])
    else:
        for split in sorted({split for group in answer["items"] for split in group["metrics"]}, reverse=True):
            _groups(answer, split)


def _read(file: Path) -> Any:
    try:
        return read_yaml(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{file} cannot be read: {error}.") from error


def _show(found: Sweep, as_json: bool) -> None:
    print_json(found.answer) if as_json else _status(found)


def _watch(found: Sweep, as_json: bool) -> None:
    ended = found.wait(progress=not as_json)
    _show(ended, as_json)
    if not ended.succeeded:
        raise Exit(NOT_SUCCEEDED)


def _status(record: Sweep) -> None:
    states = ", ".join(f"{count} {state}" for state, count in record.states.items())
    left = "" if record.eta_seconds is None else f", {duration(record.eta_seconds)} left"
    out.print(f"[bold]{record.id}[/]  {escape(record.name)}", highlight=False)
    out.print(f"{record.cells} cells: {states}; {record.progress:.0%} done{left}", highlight=False)


def _plan(plan: Mapping[str, Any]) -> None:
    out.print(f"{plan['cells']} cells: {plan['made']} to queue, {plan['shared']} on record", highlight=False)
    for count, what in ((plan["excluded"], "excluded"), (len(plan["invalid"]), "kinds of cells left out")):
        if count:
            out.print(f"{count} {what}", highlight=False)
    for problem in plan["invalid"]:
        out.print(f"  {escape(problem['detail'])}", highlight=False)
    estimate = plan["estimate"]
    for name, shown in (("seconds", duration), ("feature_bytes", size), ("checkpoint_bytes", size)):
        value, reason = estimate[name], estimate[f"{name}_reason"]
        label = {"seconds": "time in one slot", "feature_bytes": "features", "checkpoint_bytes": "checkpoints"}[name]
        out.print(f"{label}: {escape(reason) if value is None else shown(value)}", highlight=False)


def _groups(answer: Mapping[str, Any], split: str) -> None:
    groups = answer["items"]
    metrics = dict.fromkeys(name for group in groups for name in group["metrics"].get(split, {}))
    labels = [(field, [_word(group["fields"][field]) for group in groups]) for field in answer["fields"]]
    labels.append(("cells", [f"{group['succeeded']}/{group['cells']}" for group in groups]))
    numbers = [(name, [_statistic(group["metrics"].get(split, {}).get(name)) for group in groups]) for name in metrics]
    _print(f"{split}: mean ± std (n)", labels, numbers)


def _matrix(matrix: Mapping[str, Any]) -> None:
    labels = [("", [_word(row) for row in matrix["rows"]])]
    values = [[_statistic(row[number]) for row in matrix["values"]] for number in range(len(matrix["columns"]))]
    numbers = list(zip(map(_word, matrix["columns"]), values, strict=True))
    _print(f"{matrix['split']} {matrix['metric']}: mean ± std (n)", labels, numbers)


def _print(title: str, labels: Sequence[Column], numbers: Sequence[Column]) -> None:
    """A table; where the terminal is too narrow for all numbers several, each with the labels."""
    console = roomy()
    for some in _fitting(numbers, console.width - 1 - sum(map(_width, labels))):
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
        for name, _ in labels:
            table.add_column(escape(name), overflow="fold")
        for name, _ in some:
            table.add_column(escape(name), justify="right", no_wrap=True)
        for row in zip(*(cells for _, cells in (*labels, *some)), strict=True):
            table.add_row(*map(escape, row))
        console.print(table)


def _fitting(columns: Sequence[Column], room: int) -> Iterator[list[Column]]:
    """The columns in order, as many at a time as there is room for, one at least."""
    some: list[Column] = []
    for column in columns:
        if some and sum(map(_width, some)) + _width(column) > room:
            yield some
            some = []
        some.append(column)
    if some:
        yield some


def _width(column: Column) -> int:
    """Of a column with the room between it and the next."""
    name, cells = column
    return max(map(len, (name, *cells))) + 3


def _word(value: Any) -> str:
    return "–" if value is None else value if isinstance(value, str) else json.dumps(value)


def _statistic(statistic: Mapping[str, Any] | None) -> str:
    if statistic is None:
        return ""
    mean, std = number(statistic["mean"]), statistic["std"]
    return f"{mean} ({statistic['n']})" if std is None else f"{mean} ± {std:.1g} ({statistic['n']})"
