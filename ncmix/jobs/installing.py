"""`python -m ncmix.jobs.installing FOLDER`: the secrets of a new installation, as files; those that are there stay."""

import argparse
import secrets
import sys
from pathlib import Path

DATABASE, BROKER = "db", "broker"  # the hosts, as docker-compose.yml calls them


def install(folder: Path) -> None:
    """Write what the parts of one installation need to know of each other, unless it is there.

    Everybody who has the folder may read it: it is mounted where it is needed, and nowhere else.
    """
    password = _once(folder / "db_password", secrets.token_hex(24))
    _once(folder / "database_url", f"postgresql://ncmix:{password}@{DATABASE}/ncmix")
    password = _once(folder / "broker_password", secrets.token_hex(24))
    _once(folder / "broker_url", f"redis://:{password}@{BROKER}:6379/0")
    # Redis reads its password from no other file than this.
    _once(folder / "broker.conf", f"requirepass {password}")


def _once(path: Path, value: str) -> str:
    """Write a file whole or not at all; gives what stands in it from then on."""
    if not path.exists():
        new = path.with_suffix(".new")
        new.write_text(f"{value}\n")
        new.chmod(0o444)
        new.replace(path)
    return path.read_text().strip()


def main() -> int:
    """Write them."""
    parser = argparse.ArgumentParser(prog="python -m ncmix.jobs.installing", description=__doc__)
    parser.add_argument("folder", type=Path)
    install(parser.parse_args().folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
