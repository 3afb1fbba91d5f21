"""Rules of the house that no linter knows: who may touch torch, how long a file may be, what runs without a service."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = [p for package in ("ncmix", "api", "worker") for p in sorted((ROOT / package).rglob("*.py"))]


@pytest.mark.parametrize(
    "module", ["api.app", "ncmix.jobs.lifecycle", "ncmix.plots", "ncmix.client", "ncmix.cli", "worker.app"]
)
def test_no_torch_is_loaded(module: str) -> None:
    heavy = "{'torch', 'torchvision', 'sklearn'} & set(sys.modules)"
    code = f"import {module}, sys; sys.exit(', '.join({heavy}) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_file_is_longer_than_300_lines() -> None:
    long = {str(p.relative_to(ROOT)): n for p in SOURCES if (n := len(p.read_text().splitlines())) > 300}
    assert not long


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(p.relative_to(ROOT)) for p in SOURCES if not p.read_text().lstrip().startswith('"""')]
    assert not silent
