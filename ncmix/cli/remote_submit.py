"""`ncmix submit`: experiments for a service to train."""

from typing import Any

import click

from ncmix.cli.asked import asked, experiment_options
from ncmix.cli.remote import document, print_json, print_one, remote
from ncmix.cli.remote_watch import end_as, watched
from ncmix.client import Client


@click.command()
@experiment_options
@click.option("--run", type=int, metavar="N", help="The N-th experiment of the preset.  [default: all of them]")
@click.option("--rerun", is_flag=True, help="Run it again even if the same spec is on record.")
@click.option("--watch", is_flag=True, help="Stay until it has ended, as `ncmix watch` does.")
@remote
def submit(client: Client, run: int | None, rerun: bool, watch: bool, as_json: bool, **options: Any) -> None:
    """Queue an experiment, or every one of a preset, at a service.

    The same spec again gives the experiment that is there, unless that failed or was cancelled.

    \b
    Examples
      ncmix submit --dataset digits --model mlp --mix mixup --epochs 100 --watch
      ncmix submit --spec study.yaml --set optimizer.lr=0.1
      ncmix submit --preset fisher-channels --scale small
      id=$(ncmix submit --spec study.yaml --json | jq -r .id)
    """  # fmt: skip
    made = [client.submit(spec, rerun=rerun) for spec in asked(run, options)]
    if watch:
        end_as(watched(client, made, as_json=as_json))
    elif as_json:
        ids = [experiment.id for experiment in made]
        print_json(document(ids, [experiment.answer for experiment in made]))
    else:
        for experiment in made:
            print_one(experiment)
