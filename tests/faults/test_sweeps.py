"""A sweep from its file to its table, with a real service, a real worker and children that record without training."""

import json
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from ncmix.cli import main
from ncmix.client import Client, Sweep
from tests.faults.stage import Stage
from tests.servers import wait_for
from tests.toys import toy

pytestmark = [pytest.mark.redis, pytest.mark.postgres, pytest.mark.timeout(300)]
PATIENCE = 90.0


def ncmix(*words: object) -> Result:
    """The command `ncmix sweep WORDS`."""
    return CliRunner().invoke(main, ["sweep", *(str(word) for word in words)], env={"COLUMNS": "160"})


def until(client: Client, sweep: str, states: dict[str, int]) -> Sweep:
    """The sweep once its cells are in these states."""
    wait_for(lambda: client.sweep(sweep).states == states, f"{states}", PATIENCE, every=0.05)
    return client.sweep(sweep)


def test_from_a_file_to_a_table(stage: Stage, tmp_path: Path) -> None:
    # The names tell toy children what to do: one cell fails.
    points = [{"mix": "none"}, {"mix": "mixup", "name": "fail=2"}]
    sweep = {"base": toy().model_dump(mode="json"), "list": points, "seeds": 2}
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(sweep))
    api, client = stage.api()
    here = f"--url={api.url}"

    assert "4 cells: 4 to queue, 0 on record" in ncmix(file, "--dry-run", here).output
    posted = json.loads(ncmix(file, here, "--json").output)
    assert (posted["made"], posted["states"]) == (4, {"queued": 4})
    stage.toys()
    failed = until(client, posted["id"], {"failed": 2, "succeeded": 2})
    assert failed.progress == pytest.approx((3 + 3 + 1 + 1) / 12)

    shown = ncmix("show", posted["id"], here).output
    assert "4 cells: 2 failed, 2 succeeded" in shown
    table = client.sweep(posted["id"]).table(metrics="accuracy", split="test")
    assert [g["metrics"]["test"]["accuracy"] for g in table["items"]] == [
        {"n": 2, "mean": 0.03, "std": 0.0},
        {"n": 0, "mean": None, "std": None},
    ]
    assert "0.03 ± 0 (2)" in ncmix("table", posted["id"], here, "--metrics", "accuracy").output
    matrix = ncmix("table", posted["id"], here, "--rows", "mix.kind", "--columns", "seed", "--metric", "accuracy")
    assert "train accuracy" in matrix.output
    assert "mixup" in matrix.output

    # What failed runs again, as new experiments; they fail again, and what succeeded is left alone.
    kept = {e.id for e in client.experiments(sweep=posted["id"], state="succeeded")}
    before = {e.id for e in client.experiments(sweep=posted["id"])}
    assert json.loads(ncmix("retry-failed", posted["id"], here, "--json").output)["made"] == 2
    until(client, posted["id"], {"failed": 2, "succeeded": 2})
    after = {e.id for e in client.experiments(sweep=posted["id"])}
    assert after & before == kept


def test_a_sweep_is_cancelled_with_what_runs_of_it(stage: Stage) -> None:
    _, client = stage.api()
    stage.toys()
    sweep = {"base": toy(name="epoch=0.05", epochs=1000).model_dump(mode="json"), "seeds": 3}
    posted = client.submit_sweep(sweep)
    wait_for(lambda: posted.refresh().states.get("running"), "A start", PATIENCE, every=0.05)
    posted.cancel()
    until(client, posted.id, {"cancelled": 3})
    posted.delete(experiments=True)
    assert list(client.experiments()) == list(client.sweeps()) == []


def test_what_is_wrong_with_a_file_is_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "sweep.yaml"
    for text, said in (
        ("base: {dataset: digits, model: mlp, epochs: -1}", "Cell 0 (the base): epochs: -1 must be greater than"),
        ("grid: [", "This is not YAML"),
        ("seeds: 0", "0 seeds are asked for"),
    ):
        file.write_text(text)
        failed = ncmix(file, "--url=http://127.0.0.1:9")
        assert (failed.exit_code, said in failed.output) == (2, True), failed.output
    assert ncmix(tmp_path / "missing.yaml").exit_code == 2
