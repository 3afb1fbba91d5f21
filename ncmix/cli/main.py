"""The command group: where every command hangs, and where an error becomes a sentence on stderr."""

from typing import Any

import click

from ncmix import __version__
from ncmix.cli.demo import demo
from ncmix.cli.exchange import export, import_
from ncmix.cli.extend import extend
from ncmix.cli.jobs import gc, jobs
from ncmix.cli.keys import keys
from ncmix.cli.measure import measure
from ncmix.cli.plot import plot
from ncmix.cli.presets import presets
from ncmix.cli.serve import serve
from ncmix.cli.sweep import sweep
from ncmix.cli.theory import theory
from ncmix.cli.train import train
from ncmix.cli.vocabulary import vocabulary
from ncmix.errors import NcmixError


class _Sentences(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (NcmixError, FloatingPointError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Sentences, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, "--version", message="ncmix %(version)s")
def main() -> None:
    """Neural collapse under mixup: train, measure, plot, and serve experiments."""


for _command in (
    *(train, extend, measure, plot, theory, serve, sweep, jobs, gc, keys, demo, presets, vocabulary, export, import_),
):
    main.add_command(_command)
