"""`ncmix jobs`: looking after a service. The work is done by processes of the service's own code."""

import subprocess
import sys

import click

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def jobs() -> None:
    """Look after the service that the NCMIX_* variables describe."""


@jobs.command()
@_json
def doctor(as_json: bool) -> None:
    """Say what is wrong: leases, waiting experiments, leftovers, broker, schema, disk. Status 1 if anything is."""
    _run("ncmix.jobs.doctor", as_json)


@jobs.command()
@click.option("--days", type=click.FloatRange(min=0), help="Instead of NCMIX_KEEP_CHECKPOINT_DAYS.")
@_json
def gc(days: float | None, as_json: bool) -> None:
    """Remove what nobody needs any more and what NCMIX_KEEP_* keep no longer; give its room on the disk back."""
    _run("ncmix.jobs.leftovers", as_json, *([] if days is None else [f"--days={days}"]))


def _run(module: str, as_json: bool, *words: str) -> None:
    command = [sys.executable, "-m", module, *(["--json"] if as_json else []), *words]
    sys.exit(subprocess.run(command, check=False).returncode)
