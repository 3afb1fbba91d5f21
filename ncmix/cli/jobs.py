"""`ncmix jobs`: looking after a service. The work is done by processes of the service's own code."""

import subprocess
import sys

import click


@click.group()
def jobs() -> None:
    """Look after the service that the NCMIX_* variables describe."""


@jobs.command()
def doctor() -> None:
    """Say what is wrong: leases, waiting experiments, leftovers, broker, schema, disk. Status 1 if anything is."""
    _run("ncmix.jobs.doctor")


@jobs.command()
@click.option("--days", type=click.FloatRange(min=0), help="Instead of NCMIX_KEEP_CHECKPOINT_DAYS.")
def gc(days: float | None) -> None:
    """Remove what nobody needs any more and what NCMIX_KEEP_* keep no longer; give its room on the disk back."""
    _run("ncmix.jobs.leftovers", *([] if days is None else [f"--days={days}"]))


def _run(module: str, *words: str) -> None:
    sys.exit(subprocess.run([sys.executable, "-m", module, *words], check=False).returncode)
