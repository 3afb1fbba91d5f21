"""What commands that talk to a service share: its address, JSON, ids, and an answer for each of several experiments."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps
from itertools import islice
from typing import Any

import click
from click.exceptions import Exit
from click.shell_completion import CompletionItem
from rich.markup import escape

from ncmix.client import ApiError, Client, Experiment, MissingError
from ncmix.client.transport import DEFAULT_URL
from ncmix.errors import NcmixError
from ncmix.terminal import STYLES, out

REFUSED = 3
_COMPLETIONS = 50

url_option = click.option(
    "--url", envvar="NCMIX_URL", default=DEFAULT_URL, show_default=True, show_envvar=True, help="The service."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, as the service answers.")


def remote(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --url and --json, and a client of that service."""

    @url_option
    @json_option
    @wraps(command)
    def run(url: str, **given: Any) -> None:
        with Client(url) as client:
            command(client, **given)

    return run


def _complete(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The newest experiments whose ids begin so; none if the service does not answer at once."""
    try:
        with Client(context.params.get("url"), timeout=2.0) as client:
            found = list(islice(client.experiments(**({"id": incomplete} if incomplete else {})), _COMPLETIONS))
    except NcmixError:
        return []
    return [CompletionItem(e.id, help=f"{e.state} {e.title}") for e in found if e.id.startswith(incomplete)]


one_experiment = click.argument("word", metavar="ID", shell_complete=_complete)
experiments = click.argument("words", metavar="ID...", nargs=-1, required=True, shell_complete=_complete)


@dataclass(frozen=True)
class Done:
    """What has become of those experiments for which the service did as asked, and whether it refused others."""

    items: list[Experiment]
    refused: bool

    def end(self) -> None:
        """End the command.

        Raises:
            Exit: 3, if the service refused one.
        """
        if self.refused:
            raise Exit(REFUSED)


def each(client: Client, words: Sequence[str], work: Callable[[Experiment], Experiment]) -> Done:
    """Do something with every experiment named; what is wrong with one is said, and the others are done."""
    items: list[Experiment] = []
    refused = False
    for word in words:
        try:
            items.append(work(client.experiment(word)))
        except (ApiError, MissingError) as error:
            click.echo(f"{word}: {error}", err=True)
            refused = True
    return Done(items, refused)


def report(words: Sequence[str], done: Done, as_json: bool) -> None:
    """Say what has become of the experiments named, and end the command."""
    if as_json:
        print_json(document(words, [experiment.answer for experiment in done.items]))
    else:
        for experiment in done.items:
            print_one(experiment)
    done.end()


def print_json(document: Any) -> None:
    """One document."""
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def print_line(document: Any) -> None:
    """One document in one line, at once."""
    click.echo(json.dumps(document, ensure_ascii=False))


def document(words: Sequence[str], items: Sequence[Any]) -> Any:
    """What is said of each of `words`: of one the thing itself, of several a list in `items`."""
    return items[0] if len(words) == len(items) == 1 else {"items": list(items)}


def state(word: str) -> str:
    """A state in its colour."""
    return f"[{STYLES[word]}]{word}[/]" if word in STYLES else word


def print_one(experiment: Experiment) -> None:
    """An experiment in a line."""
    out.print(
        f"{experiment.id}  {state(experiment.state)}  {escape(experiment.title)}", highlight=False, soft_wrap=True
    )
