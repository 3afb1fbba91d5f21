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
    """What came of it: whether nothing failed, how many requests were made up, the report, and how long it took."""

    passed: bool
    cases: int
    report: str
    seconds: float


def check(offered: Service, folder: Path, examples: int, *, brief: bool = False) -> Outcome:
    """Hold the service to its description with at most so many examples of each operation, and of sequences of them.

    Beside these the edges of every parameter and field are tried, valid ones and invalid; `brief` leaves out the spec's.
    """
    # From a file: to who has no key the service does not show it.
    described = folder / "openapi.json"
    key = {"Authorization": f"Bearer {offered.key}"}
    described.write_bytes(httpx2.get(f"{offered.url}/openapi.json", headers=key).raise_for_status().content)
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
    found = re.search(r"(\d+) generated", ended.stdout)
    cases = int(found[1]) if found else 0
    return Outcome(ended.returncode == 0, cases, _brief(ended.stdout), time.monotonic() - began)


def _brief(report: str) -> str:
    """Without the files in it, which are no text."""
    return "\n".join(line if len(line) < 2000 else f"{line[:2000]}…" for line in report.splitlines())
