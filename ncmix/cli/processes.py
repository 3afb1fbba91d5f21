"""Commands whose work a process of the service's own code does: this program loads none of that code."""

import subprocess
import sys

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def end_as(module: str, as_json: bool, *words: str) -> None:
    """Run `python -m module` and end as it does."""
    command = [sys.executable, "-m", module, *(["--json"] if as_json else []), *words]
    sys.exit(subprocess.run(command, check=False).returncode)
