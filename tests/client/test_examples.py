"""What is in examples/ and docs/tutorial.md runs as it is written, against a live service whose worker trains."""

import doctest
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from ncmix.plots import PLOTS
from tests.client.service import whole_service
from tests.servers import Api

pytestmark = pytest.mark.timeout(300)
ROOT = Path(__file__).parent.parent.parent
BLOCKS = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)
PICTURES = {f"{name}.png" for name in PLOTS}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with whole_service(tmp_path_factory.mktemp("service")) as running:
        yield running


def run(api: Api, *command: str) -> str:
    variables = {**os.environ, "NCMIX_URL": api.url}
    ran = subprocess.run(command, env=variables, capture_output=True, text=True, check=False, timeout=200)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def python(api: Api, name: str, *words: str) -> str:
    return run(api, sys.executable, str(ROOT / "examples" / name), *words)


def test_one_experiment_by_python_and_its_features(api: Api, tmp_path: Path):
    said = python(api, "submit.py", str(tmp_path))
    assert "epoch 10/10" in said
    assert "amplification" in said
    assert {p.name for p in tmp_path.iterdir()} == PICTURES
    assert "dimensions, 10 classes" in python(api, "features.py")


@pytest.mark.skipif(shutil.which("curl") is None, reason="left out: every test with curl, because it is not in PATH")
def test_one_experiment_by_curl(api: Api, tmp_path: Path):
    said = run(api, str(ROOT / "examples" / "curl.sh"), str(tmp_path))
    assert said.rstrip().endswith("succeeded")
    assert {p.name for p in tmp_path.iterdir()} == PICTURES | {"metrics.csv"}
    assert all(p.read_bytes().startswith(b"\x89PNG") for p in tmp_path.glob("*.png"))


def test_a_sweep_by_python(api: Api, tmp_path: Path):
    said = python(api, "sweep.py", str(tmp_path / "sweep.png"))
    assert "4 experiments are new" in said
    assert "{'succeeded': 4}" in said
    assert re.search(r"mixup +accuracy 0\.\d+ ± ", said)


def test_the_tutorial_prints_what_it_says(api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NCMIX_URL", api.url)
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    checker, how = doctest.OutputChecker(), doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    blocks = BLOCKS.findall((ROOT / "docs" / "tutorial.md").read_text())
    assert len(blocks) == 10
    for code, expected in blocks:
        printed = StringIO()
        with redirect_stdout(printed):
            exec(compile(code, "docs/tutorial.md", "exec"), space)  # noqa: S102 - it is our own text
        assert checker.check_output(expected, printed.getvalue(), how), f"{code}\nprinted\n{printed.getvalue()}"
