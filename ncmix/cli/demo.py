"""`ncmix demo`: the whole path once, from HTTP requests to pictures, on real handwritten digits."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import click

from ncmix.cli.display import final_table, run_of
from ncmix.cli.service import running
from ncmix.client import Client, Experiment
from ncmix.errors import NcmixError
from ncmix.terminal import out

PRESET = "digits-mixup"
PLOTS = ("nc", "curves", "last-layer")


class DemoError(NcmixError, RuntimeError):
    """An experiment of the demo did not succeed."""


@click.command()
@click.option("--out", "folder", type=click.Path(file_okay=False, path_type=Path), default=Path("demo"),
              show_default=True, help="Folder for the pictures.")  # fmt: skip
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="Keep the service's data here.")
def demo(folder: Path, home: Path | None) -> None:
    """Start the service, post the preset digits-mixup, watch it, draw it, stop."""
    start = perf_counter()
    with TemporaryDirectory(prefix="ncmix-demo-") as temporary:
        _demonstrate(home or Path(temporary), folder)
    out.print(f"Stopped cleanly after {perf_counter() - start:.1f} s.", highlight=False)


def _demonstrate(home: Path, folder: Path) -> None:
    with running(home, "127.0.0.1", 0) as service, Client(service.url) as client:
        out.print(f"The service runs at [bold]{service.url}[/]", highlight=False)
        ended = [_watch(experiment) for experiment in client.submit_preset(PRESET)]
        out.print(final_table([run_of(experiment) for experiment in ended]))
        _draw(client, ended, folder)


def _watch(experiment: Experiment) -> Experiment:
    now = experiment.wait(progress=True)
    if not now.succeeded:
        reason = now.reason.message if now.reason else "no reason was given"
        raise DemoError(f"{now.title} ended as {now.state}: {reason}\n{now.log()[-2000:]}")
    return now


def _draw(client: Client, experiments: list[Experiment], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in PLOTS:
        plot = client.compare(experiments, name)
        path = plot.save(folder / f"{name}.png")
        out.print(f"{path}  [dim]{plot.url}[/]", highlight=False, soft_wrap=True)
