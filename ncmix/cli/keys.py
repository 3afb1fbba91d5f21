"""`ncmix keys`: who may use a service. The work is done by a process of the service's own code."""

import click

from ncmix.cli.processes import end_as, json_option

_TOOL = "ncmix.jobs.keytool"
_SCOPES = ("read", "submit", "admin")


@click.group()
def keys() -> None:
    """API keys of the service that the NCMIX_* variables describe.

    \b
    As soon as there is one, the service answers nobody without a key:
      export NCMIX_API_KEY=$(ncmix keys create laptop)
      ncmix ls
      curl -H "Authorization: Bearer $NCMIX_API_KEY" localhost:8000/api/v1/sweeps
    """


@keys.command()
@click.argument("name")
@click.option(
    "--scope",
    type=click.Choice(_SCOPES),
    default="submit",
    show_default=True,
    help="read: look at everything; submit: make and steer experiments, too; admin: delete, too.",
)
@click.option("--days", type=click.FloatRange(min=0, min_open=True), help="It ends after so many days.")
@json_option
def create(name: str, scope: str, days: float | None, as_json: bool) -> None:
    """Make a key and print it. It is shown this once: only its hash is kept."""
    end_as(_TOOL, as_json, "create", name, f"--scope={scope}", *([] if days is None else [f"--days={days}"]))


@keys.command("ls")
@json_option
def list_keys(as_json: bool) -> None:
    """List all keys: scope, when made, when last used, whether they are still valid."""
    end_as(_TOOL, as_json, "ls")


@keys.command()
@click.argument("id")
@json_option
def revoke(id: str, as_json: bool) -> None:  # noqa: A002 - the word of the command line
    """End a key; within a second nobody gets in with it any more."""
    end_as(_TOOL, as_json, "revoke", id)


@keys.command()
@click.argument("id")
@click.option(
    "--hours",
    type=click.FloatRange(min=0),
    default=24.0,
    show_default=True,
    help="How long the old one is still good for.",
)
@json_option
def rotate(id: str, hours: float, as_json: bool) -> None:  # noqa: A002
    """Make a key in the place of another and print it; the other one ends soon."""
    end_as(_TOOL, as_json, "rotate", id, f"--hours={hours}")
