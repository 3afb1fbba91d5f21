"""`ncmix plot`: pictures of runs that lie on disk."""

import re
from pathlib import Path
from textwrap import fill
from typing import Any

import click

from ncmix.plots import FORMATS, PLOTS, THEMES, Format, Options, Size, Theme, render
from ncmix.rundir import read
from ncmix.terminal import out


class Numbers(click.ParamType):
    """Whole numbers with commas between."""

    name = "numbers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """The numbers of a text."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(word) for word in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not whole numbers with commas between, as in 0,5,20.", param, ctx)


def _short(description: str) -> str:
    """What comes before the first colon, semicolon or bracket."""
    return re.split(r"[:;(]", description)[0].strip(" .")


# What names a plot, with what it shows; \b keeps click from filling the lines.
_HELP = "\b\n" + "\n".join(
    fill(f"{name:16} {_short(plot.description)}", 76, subsequent_indent=" " * 17) for name, plot in PLOTS.items()
)


@click.command(epilog=_HELP)
@click.argument("name", metavar="NAME", type=click.Choice(list(PLOTS)))
@click.argument("paths", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--out",
    "target",
    type=click.Path(path_type=Path),
    help=f"A file that ends in .{', .'.join(FORMATS)}; csv and json are the numbers drawn.  [default: NAME.png]",
)
@click.option("--epoch", type=int, metavar="N", help="State at this epoch.  [default: the last]")
@click.option("--epochs", type=Numbers(), default=(), metavar="N,N…", help="Columns of last-layer-grid.")
@click.option("--classes", type=Numbers(), default=(), metavar="K,K…", help="Only mixtures of these probed classes.")
@click.option("--split", type=click.Choice(["train", "test"]), help="Of which split, where a plot shows one.")
@click.option("--group-by", "fields", metavar="FIELD,…", help="Runs that agree in it become a mean ± std: mix.kind")
@click.option("--theme", type=click.Choice(THEMES), default="light", show_default=True)
@click.option("--width", type=float, metavar="INCHES", help="[default: what the plot needs]")
@click.option("--height", type=float, metavar="INCHES", help="[default: what the plot needs]")
@click.option("--dpi", type=int, default=160, show_default=True, help="Dots an inch of PNG, and of bitmaps in others.")
def plot(
    name: str, paths: tuple[Path, ...], target: Path | None, fields: str | None, theme: Theme, **asked: Any
) -> None:
    """Draw one or several runs: folders that `ncmix train` wrote, or files run.pkl."""
    target = target or Path(f"{name}.png")
    suffix: Format | None = next((name for name in FORMATS if target.suffix == f".{name}"), None)
    if suffix is None:
        allowed = ", ".join(f".{name}" for name in FORMATS)
        raise click.UsageError(f"{target} ends in {target.suffix!r}; allowed are {allowed}.")
    group_by = tuple(field.strip() for field in (fields or "").split(",") if field.strip())
    options = Options(group_by=group_by, **{what: asked[what] for what in ("epoch", "epochs", "classes", "split")})
    size = Size(asked["width"], asked["height"], asked["dpi"])
    picture = PLOTS[name].describe([read(path) for path in paths], options)
    target.write_bytes(render(picture, suffix, theme=theme, size=size))
    out.print(f"Drawn to [bold]{target}[/]", highlight=False)
