"""`ncmix plot`: pictures of a run that lies on disk."""

from pathlib import Path

import click

from ncmix.cli.display import out
from ncmix.plots import FORMATS, PLOTS, THEMES, Format, Theme, render
from ncmix.rundir import read


@click.command()
@click.argument("name", metavar="NAME", type=click.Choice(list(PLOTS)))
@click.argument("paths", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--out", "target", type=click.Path(path_type=Path), help="png, svg or pdf.  [default: NAME.png]")
@click.option("--epoch", type=int, metavar="N", help="The epoch of last-layer.  [default: the last]")
@click.option("--theme", type=click.Choice(THEMES), default="light", show_default=True)
def plot(name: str, paths: tuple[Path, ...], target: Path | None, epoch: int | None, theme: Theme) -> None:
    """Draw one or several runs.

    \b
    NAME  last-layer  mixtures of three classes in the plane of their classifiers
          nc          every neural-collapse metric over the epochs
          curves      loss and accuracy over the epochs
    RUN   a folder that `ncmix train` wrote, or a run.pkl
    """
    target = target or Path(f"{name}.png")
    suffix: Format | None = next((name for name in FORMATS if target.suffix == f".{name}"), None)
    if suffix is None:
        raise click.UsageError(f"{target} ends in {target.suffix!r}; allowed are .png, .svg and .pdf.")
    figure = PLOTS[name]([read(path) for path in paths], epoch=epoch, theme=theme)
    target.write_bytes(render(figure, suffix))
    out.print(f"Drawn to [bold]{target}[/]", highlight=False)
