"""`ncmix demo`: the whole path once, from HTTP requests to pictures, on real handwritten digits."""

from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click

from ncmix.cli.display import Bar, final_table, out
from ncmix.cli.service import running
from ncmix.client import Client
from ncmix.errors import NcmixError
from ncmix.results import MetricRow, Run

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
        ended = [_watch(client, experiment) for experiment in client.submit_preset(PRESET)]
        out.print(final_table([_run(client, experiment) for experiment in ended]))
        _draw(client, ended, folder)


def _watch(client: Client, experiment: dict[str, Any]) -> dict[str, Any]:
    now = experiment
    with Bar(experiment["title"], experiment["epochs"]) as bar:
        for now in client.follow(experiment["id"]):
            values = {f"{split} {name}": v for split, named in now["latest"].items() for name, v in named.items()}
            bar.update(now["epoch"], now["progress"] * now["epochs"], values)
    if now["state"] != "succeeded":
        reason = (now["reason"] or {}).get("message", "no reason was given")
        raise DemoError(f"{now['title']} ended as {now['state']}: {reason}\n{client.log(now['id'])[-2000:]}")
    return now


def _run(client: Client, experiment: dict[str, Any]) -> Run:
    rows = tuple(MetricRow(r["epoch"], r["split"], r["name"], r["value"]) for r in client.metrics(experiment["id"]))
    return Run(experiment["title"], experiment["spec"], rows)


def _draw(client: Client, experiments: list[dict[str, Any]], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    ids = [experiment["id"] for experiment in experiments]
    for name in PLOTS:
        path = folder / f"{name}.png"
        path.write_bytes(client.compare(ids, name))
        url = f"{client.url}/api/v1/compare/plots/{name}.png?ids={','.join(ids)}"
        out.print(f"{path}  [dim]{url}[/]", highlight=False, soft_wrap=True)
