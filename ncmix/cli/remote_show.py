"""`ncmix ls`, `ncmix show` and `ncmix compare`: experiments of a service, listed, one whole, and side by side."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from ncmix.cli.display import final_table, final_tables, run_of
from ncmix.cli.remote import document, each, experiments, print_json, print_one, remote, state
from ncmix.cli.words import duration
from ncmix.client import Client, Experiment
from ncmix.plots import FORMATS, PLOTS
from ncmix.spec import VOCABULARY
from ncmix.spec.short import shortened
from ncmix.terminal import number, out, roomy

_STATES = ("queued", "running", "cancelling", "pausing", "paused", "succeeded", "failed", "cancelled")


@click.command()
@click.option("--state", type=click.Choice(_STATES), metavar="STATE", help="queued, running, succeeded, failed, …")
@click.option("--dataset", type=click.Choice(list(VOCABULARY["dataset"])), metavar="KIND", help="Of this data set.")
@click.option("--model", type=click.Choice(list(VOCABULARY["model"])), metavar="KIND", help="Of this model.")
@click.option("--loss", type=click.Choice(list(VOCABULARY["loss"])), metavar="KIND", help="With this loss.")
@click.option("--mix", type=click.Choice(list(VOCABULARY["mix"])), metavar="KIND", help="With this mix.")
@click.option("--tag", help="With this tag.")
@click.option("--sweep", metavar="ID", help="Cells of this sweep.")
@click.option("-n", "most", type=click.IntRange(min=1), default=20, show_default=True, help="At most so many.")
@click.option("--all", "everything", is_flag=True, help="All of them.")
@remote
def ls(client: Client, most: int, everything: bool, as_json: bool, **filters: str | None) -> None:
    """List experiments, newest first."""
    if filters["sweep"]:
        filters["sweep"] = client.sweep(filters["sweep"]).id
    chosen = {name: value for name, value in filters.items() if value is not None}
    found = list(islice(client.experiments(**chosen), None if everything else most + 1))
    shown = found if everything else found[:most]
    if as_json:
        print_json({"items": [experiment.answer for experiment in shown]})
        return
    if not shown:
        out.print(f"[dim]{'No experiment is like that.' if chosen else 'There is no experiment yet.'}[/]")
        return
    roomy().print(_listed(shown))
    if len(found) > len(shown):
        out.print(f"[dim]These are the newest {most}; -n or --all shows more.[/]", highlight=False)


def _listed(shown: list[Experiment]) -> Table:
    spacious = roomy().width >= 110
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, expand=out.is_terminal)
    for name in ("id", "state", *(("train NC1", "test acc") if spacious else ()), "epochs", "age"):
        table.add_column(name, no_wrap=True, justify="left" if name in ("id", "state") else "right")
    table.add_column("title", overflow="ellipsis", no_wrap=True, ratio=1 if out.is_terminal else None)
    for e in shown:
        numbers = [number(e.latest[s][n]) if n in e.latest.get(s, {}) else "" for s, n in _NUMBERS] if spacious else []
        words = [f"{e.epoch}/{e.epochs}", duration((datetime.now(UTC) - e.created_at).total_seconds())]
        table.add_row(e.id, state(e.state), *numbers, *words, escape(e.title))
    return table


_NUMBERS = (("train", "nc1"), ("test", "accuracy"))


@click.command()
@experiments
@remote
def show(client: Client, words: tuple[str, ...], as_json: bool) -> None:
    """Show experiments whole: how far they are, why, what was asked for, and the last of every metric."""
    found = each(client, words, lambda experiment: experiment)
    if as_json:
        print_json(document(words, [experiment.answer for experiment in found.items]))
    else:
        for experiment in found.items:
            _whole(client, experiment)
    found.end()


def _whole(client: Client, e: Experiment) -> None:
    print_one(e)
    left = "" if e.eta_seconds is None or e.ended else f", {duration(e.eta_seconds)} left"
    took = (e.finished_at or datetime.now(UTC)) - e.started_at if e.started_at else None
    ran = f", {duration(took.total_seconds())} since it began" if took and not e.ended else ""
    ran = f", took {duration(took.total_seconds())}" if took and e.ended else ran
    rows = [("epochs", f"{e.epoch} of {e.epochs}{ran}{left}"), ("queue", f"{e.queue}, attempt {e.attempt}")]
    if e.reason:
        rows.append(("reason", f"{e.reason.message} ({e.reason.code})"))
    if e.parent:
        rows.append(("goes on from", e.parent))
    rows += [("page", f"{client.url}/experiments/{e.id}"), *_flat(shortened(e.spec))]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="dim")
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, escape(value))
    out.print(table)
    if e.latest:
        out.print(final_table([run_of(e)]))


def _flat(fields: dict[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Fields by their dotted paths, as --set names them."""
    return [
        row
        for name, value in fields.items()
        for row in (_flat(value, f"{before}{name}.") if isinstance(value, dict) else [(f"{before}{name}", str(value))])
    ]


@click.command()
@experiments
@click.option("-o", "--out", "file", type=click.Path(dir_okay=False, path_type=Path),
              help=f"Draw them into this file: {', '.join(FORMATS)}.")  # fmt: skip
@click.option("--plot", type=click.Choice(list(PLOTS)), default="nc", show_default=True, metavar="NAME",
              help="What is drawn.")  # fmt: skip
@click.option("--group-by", metavar="FIELD,…", help="Draw means ± std of those that agree in fields of their specs.")
@click.option("--epoch", type=int, metavar="N", help="Draw their state at this epoch.  [default: the last]")
@remote
def compare(
    client: Client, words: tuple[str, ...], file: Path | None, plot: str, as_json: bool, **options: Any
) -> None:
    """Show the last metrics of experiments side by side, or draw them in one picture."""
    if file and file.suffix.removeprefix(".") not in FORMATS:
        raise click.BadParameter(
            f"{file} ends in {file.suffix!r}; allowed are {', '.join(FORMATS)}.", param_hint="--out"
        )
    found = each(client, words, lambda experiment: experiment)
    found.end()
    if file:
        given = {name: value for name, value in options.items() if value is not None}
        client.compare(found.items, plot, file.suffix.removeprefix("."), **given).save(file)
    if as_json:
        print_json({"items": [e.answer for e in found.items], **({"file": str(file)} if file else {})})
    elif file:
        out.print(f"Written to [bold]{escape(str(file))}[/].", highlight=False, soft_wrap=True)
    else:
        for table in final_tables([run_of(experiment) for experiment in found.items]):
            out.print(table)
