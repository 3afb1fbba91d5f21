"""`ncmix jobs`: looking after a service. The work is done by processes of the service's own code."""

import click

from ncmix.cli.processes import end_as, json_option


@click.group()
def jobs() -> None:
    """Look after the service that the NCMIX_* variables describe."""


@jobs.command()
@json_option
def doctor(as_json: bool) -> None:
    """Say what is wrong: leases, waiting experiments, leftovers, broker, schema, disk. Status 1 if anything is."""
    end_as("ncmix.jobs.doctor", as_json)


@jobs.command()
@click.option("--days", type=click.FloatRange(min=0), help="Instead of NCMIX_KEEP_CHECKPOINT_DAYS.")
@json_option
def gc(days: float | None, as_json: bool) -> None:
    """Remove what nobody needs any more and what NCMIX_KEEP_* keep no longer; give its room on the disk back."""
    end_as("ncmix.jobs.leftovers", as_json, *([] if days is None else [f"--days={days}"]))
