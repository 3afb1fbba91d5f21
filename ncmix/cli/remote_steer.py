"""`ncmix cancel`, `pause`, `resume`, `retry` and `rm`: what becomes of experiments of a service."""

import sys

import click

from ncmix.cli.remote import Done, document, each, experiments, print_json, remote, report
from ncmix.client import Client, Experiment


@click.command()
@experiments
@remote
def cancel(client: Client, words: tuple[str, ...], as_json: bool) -> None:
    """Ask experiments to stop: at once if they wait, else when their process is gone. To ask again is harmless."""
    report(words, each(client, words, Experiment.cancel), as_json)


@click.command()
@experiments
@remote
def pause(client: Client, words: tuple[str, ...], as_json: bool) -> None:
    """Ask experiments to make way for others until they are resumed."""
    report(words, each(client, words, Experiment.pause), as_json)


@click.command()
@experiments
@remote
def resume(client: Client, words: tuple[str, ...], as_json: bool) -> None:
    """Let paused experiments go on where they were."""
    report(words, each(client, words, Experiment.resume), as_json)


@click.command()
@experiments
@remote
def retry(client: Client, words: tuple[str, ...], as_json: bool) -> None:
    """Run once more what failed or was cancelled, as new experiments, whose ids are printed."""
    report(words, each(client, words, Experiment.retry), as_json)


@click.command()
@experiments
@click.option("-y", "--yes", is_flag=True, help="Do not ask; where the input is no terminal, nobody is asked.")
@remote
def rm(client: Client, words: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Remove experiments that are not under way, with everything recorded of them."""
    found = each(client, words, lambda experiment: experiment)
    if found.items and not yes and sys.stdin.isatty():
        titles = "".join(f"\n  {e.id}  {e.title}" for e in found.items)
        click.confirm(f"Remove, with all metrics and features?{titles}\n", abort=True, err=True)
    removed = each(client, [experiment.id for experiment in found.items], _delete)
    ids = [experiment.id for experiment in removed.items]
    if as_json:
        print_json(document(words, [{"removed": each_id} for each_id in ids]))
    else:
        for each_id in ids:
            click.echo(f"{each_id}  removed")
    Done([], found.refused or removed.refused).end()


def _delete(experiment: Experiment) -> Experiment:
    experiment.delete()
    return experiment
