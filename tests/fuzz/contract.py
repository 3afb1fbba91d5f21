"""`python -m tests.fuzz.contract --cases 10000`: so many requests made up by Schemathesis on each kind of database.

A row for each; the report of what failed goes to standard error, and then the exit status is 1.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ncmix.jobs.migrate import migrate
from tests.contract.recorded import service
from tests.contract.running import Outcome, check
from tests.servers import Postgres

# Examples of an operation that make so many requests, with those at the edges and those in sequences: about 50.
_CASES_AN_EXAMPLE = 50


@contextmanager
def _sqlite(folder: Path) -> Iterator[str]:
    yield f"sqlite:///{folder / 'ncmix.db'}"


@contextmanager
def _postgres(_: Path) -> Iterator[str]:
    with Postgres() as server:
        yield server.url


DATABASES = {"SQLite": _sqlite, "PostgreSQL": _postgres}


def fuzz(name: str, cases: int) -> Outcome:
    """What came of about so many requests to a service on this kind of database."""
    with tempfile.TemporaryDirectory(prefix="ncmix-fuzz-") as folder, DATABASES[name](Path(folder)) as url:
        migrate(url)
        with service(Path(folder), url) as offered:
            return check(offered, Path(folder), -(-cases // _CASES_AN_EXAMPLE))


def main() -> int:
    """Print a row for each kind."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.contract", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--database", choices=list(DATABASES), action="append")
    arguments = parser.parse_args()
    print("| database | requests | not as described | seconds |\n|---|---|---|---|")
    failed = 0
    for name in arguments.database or DATABASES:
        outcome = fuzz(name, arguments.cases)
        print(f"| {name} | {outcome.cases} | {outcome.failures} | {outcome.seconds:.0f} |", flush=True)
        if not outcome.passed:
            print(outcome.report, file=sys.stderr)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
