"""`ncmix serve`: the whole service on one machine, with nothing to install beside it."""

import signal
from pathlib import Path
from types import FrameType

import click

from ncmix.cli.service import running
from ncmix.terminal import out


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8000, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("ncmix-data"),
    envvar="NCMIX_HOME",
    show_default=True,
    help="Folder of database, queue, data sets and logs.",
)
def serve(host: str, port: int, home: Path) -> None:
    """Run API and one worker here, on SQLite, until Ctrl-C.

    \b
    Then, in another terminal:
      curl -X POST localhost:8000/api/v1/presets/digits-mixup
      curl localhost:8000/api/v1/experiments
    """
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with running(home, host, port) as service:
            serves = f"ncmix serves [bold]{service.url}[/] (API description: {service.url}/docs)"
            out.print(serves, highlight=False, soft_wrap=True)
            out.print(f"Data and logs are in {home.resolve()}. Ctrl-C stops it.", highlight=False, soft_wrap=True)
            service.keep()
    except KeyboardInterrupt:
        out.print("Stopped. What was running is queued again and goes on at the next start.")


def _interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM (a process manager) ends the service as Ctrl-C does."""
    raise KeyboardInterrupt
