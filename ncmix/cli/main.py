"""The command group: where every command hangs, and where an error becomes a sentence on stderr and an exit code."""

from importlib import import_module
from typing import Any, ClassVar

import click
from click.exceptions import Exit
from click.shell_completion import CompletionItem

from ncmix import __version__
from ncmix.errors import NcmixError

# By section the commands, their modules and what they do. A module is loaded when its command is used: so help and
# completion are there at once.
COMMANDS = {
    "Here": {
        "train": ("train", "Train one experiment, with no service."),
        "extend": ("extend", "Train a run on to more epochs; an experiment of a service, too."),
        "measure": ("measure", "Measure neural collapse of anybody's features."),
        "plot": ("plot", "Draw runs."),
        "theory": ("theory", "Where mixtures would go if features could move freely."),
        "presets": ("presets", "Published recipes, by name."),
        "vocabulary": ("vocabulary", "All that can be asked for, and every metric."),
    },
    "At a service (--url or NCMIX_URL)": {
        "submit": ("remote_submit", "Queue an experiment or a preset."),
        "ls": ("remote_show", "List experiments."),
        "show": ("remote_show", "Show experiments whole."),
        "watch": ("remote_watch", "See experiments to their end."),
        "log": ("remote_watch", "What their processes print."),
        "cancel": ("remote_steer", "Stop experiments."),
        "pause": ("remote_steer", "Let them make way for others."),
        "resume": ("remote_steer", "Let them go on."),
        "retry": ("remote_steer", "Run again what failed."),
        "rm": ("remote_steer", "Remove experiments and all their data."),
        "compare": ("remote_show", "Several in one table or picture."),
        "sweep": ("sweep", "Queue many experiments by one file, and look after them."),
        "export": ("exchange", "Experiments into files."),
        "import": ("exchange", "And from there into another service."),
    },
    "The service itself": {
        "serve": ("serve", "API and one worker on this machine."),
        "demo": ("demo", "The whole path once, on handwritten digits."),
        "jobs": ("jobs", "See what is wrong with a service."),
        "gc": ("jobs", "Remove what nobody needs any more."),
        "keys": ("keys", "Who may use it."),
        "completion": ("completion", "Let a shell complete commands and ids."),
    },
}
_MODULES = {name: module for section in COMMANDS.values() for name, (module, _) in section.items()}


class _Commands(click.Group):
    """A group that loads a command when it is asked for."""

    attributes: ClassVar[dict[str, str]] = {"import": "import_"}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        return getattr(import_module(f"ncmix.cli.{_MODULES[cmd_name]}"), self.attributes.get(cmd_name, cmd_name))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in COMMANDS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in section.items()], col_max=12)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        texts = {name: text for section in COMMANDS.values() for name, (_, text) in section.items()}
        commands = [CompletionItem(name, help=text) for name, text in texts.items() if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (NcmixError, FloatingPointError) as error:
            click.echo(f"Error: {error}", err=True)
            raise Exit(_exit_code(error)) from error


def _exit_code(error: Exception) -> int:
    """With what a command ends that could not be done."""
    from ncmix.client import ApiError, MissingError, UnreachableError
    from ncmix.spec import SpecError

    match error:
        case SpecError():
            return 2
        case ApiError() | MissingError():
            return 3
        case UnreachableError():
            return 4
        case _:
            return 1


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit codes: 0 done, and of `watch` succeeded; 1 it failed; 2 what was asked for is wrong; 3 the service "
    "has no such thing or refuses; 4 the service cannot be reached; 130 interrupted.",
)
@click.version_option(__version__, "--version", message="ncmix %(version)s")
def main() -> None:
    """Neural collapse under mixup: train, measure, plot, and serve experiments."""
