"""`ncmix watch` and `ncmix log`: experiments of a service as they go, to their end, which is the command's own."""

from collections.abc import Sequence
from contextlib import ExitStack

import click
from click.exceptions import Exit
from rich.markup import escape

from ncmix.cli.remote import each, experiments, print_line, print_one, remote
from ncmix.client import Client, Experiment
from ncmix.terminal import Bar, bars, out

NOT_SUCCEEDED, INTERRUPTED = 1, 130


@click.command()
@experiments
@click.option(
    "--patience", type=click.FloatRange(min=0), default=120.0, show_default=True, metavar="SECONDS",
    help="How long the service may be away before it is given up.",
)  # fmt: skip
@remote
def watch(client: Client, words: tuple[str, ...], patience: float, as_json: bool) -> None:
    """Show how far experiments are, until all have ended; a restart of the service goes unnoticed.

    Exits with 0 only if all have succeeded, with 1 if one has failed or was cancelled. With --json there is a line for
    every change of one.
    """
    named = each(client, words, lambda experiment: experiment)
    named.end()
    end_as(watched(client, named.items, patience, as_json=as_json))


def watched(
    client: Client, named: Sequence[Experiment], patience: float | None = None, *, as_json: bool
) -> list[Experiment]:
    """The experiments once all have ended; until then they are shown.

    Raises:
        Exit: 130 if interrupted; they go on.
    """
    last = {experiment.id: experiment for experiment in named}
    room, stack = bars(), ExitStack()
    shown = {e.id: Bar(e.title, e.epochs, within=room) for e in named}
    try:
        if out.is_terminal and not as_json:
            stack.enter_context(room)
        for now in client.follow(last.values(), patience=patience):
            last[now.id] = now
            if as_json:
                print_line(now.answer)
            else:
                _show(shown[now.id], now)
    except KeyboardInterrupt:
        click.echo("Nobody watches any more; the experiments go on.", err=True)
        raise Exit(INTERRUPTED) from None
    finally:
        stack.close()
    return list(last.values())


def _show(bar: Bar, now: Experiment) -> None:
    bar.show(now.epoch, now.progress * now.epochs, now.latest)
    bar.say("" if now.state == "running" else now.state)
    if now.ended and not (now.succeeded and out.is_terminal):
        print_one(now)
        if now.reason and not now.succeeded:
            out.print(f"  {escape(now.reason.message)}", highlight=False, soft_wrap=True)


def end_as(ended: Sequence[Experiment]) -> None:
    """End the command as the experiments have.

    Raises:
        Exit: 1, if one has not succeeded.
    """
    if not all(experiment.succeeded for experiment in ended):
        raise Exit(NOT_SUCCEEDED)


@click.command()
@experiments
@click.option("-f", "--follow", is_flag=True, help="Stay until the experiment has ended, and exit as `watch` does.")
@remote
def log(client: Client, words: tuple[str, ...], follow: bool, as_json: bool) -> None:
    """Print what the processes of experiments have printed.

    With --json there is a line for every piece of text.
    """
    if follow and len(words) > 1:
        raise click.UsageError(f"{len(words)} experiments are named; allowed with --follow is one.")
    named = each(client, words, lambda experiment: experiment)
    for experiment in named.items:
        if len(words) > 1 and not as_json:
            click.echo(f"==> {experiment.id} {experiment.title} <==")
        for text in experiment.log_parts(follow=follow):
            if as_json:
                print_line({"id": experiment.id, "text": text})
            else:
                click.echo(text, nl=False)
    named.end()
    if follow:
        end_as([experiment.refresh() for experiment in named.items])
