"""Schemathesis against a service: every operation by itself and in sequences, with valid and with invalid requests."""

import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.contract.recorded import Service, variables

_HERE = Path(__file__).parent
_ROOT = _HERE.parent.parent


@dataclass(frozen=True)
class Outcome:
    """What came of it: requests that were made up, of how many kinds those are whose answer is not as described."""

    passed: bool
    cases: int
    failures: int
    report: str
    seconds: float


def check(offered: Service, folder: Path, examples: int, *, brief: bool = False) -> Outcome:
    """Hold the service to its description with at most so many examples of each operation, and of sequences of them.

    Beside these the edges of every parameter and field are tried, valid and invalid; `brief` leaves out the spec's.
    """
    # From a file: to who has no key the service does not show it.
    described = folder / "openapi.json"
    key = {"Authorization": f"Bearer {offered.key}"}
    answer = httpx2.get(f"{offered.url}/openapi.json", headers=key, timeout=60).raise_for_status()
    described.write_bytes(answer.content)
    program, settings = Path(sys.executable).with_name("st"), folder / "schemathesis.toml"
    parts = ["schemathesis.toml", "brief.toml"] if brief else ["schemathesis.toml"]
    settings.write_text("".join((_HERE / part).read_text() for part in parts))
    words = [program, "--config-file", settings, "run", described, "--url", offered.url, "--no-color"]
    environment = variables(offered, folder / "parcel.zip") | {"PYTHONPATH": str(_ROOT)}
    began = time.monotonic()
    ended = subprocess.run(
        [*map(str, words), "--max-examples", str(examples)],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    cases, failures = _number(r"(\d+) generated", ended.stdout), _number(r"(\d+) unique failures?", ended.stdout)
    return Outcome(ended.returncode == 0, cases, failures, _brief(ended.stdout), time.monotonic() - began)


def _number(pattern: str, report: str) -> int:
    found = re.search(pattern, report)
    return int(found[1]) if found else 0


def _brief(report: str) -> str:
    """Without the files in it, which are no text."""
    return "\n".join(line if len(line) < 2000 else f"{line[:2000]}…" for line in report.splitlines())
