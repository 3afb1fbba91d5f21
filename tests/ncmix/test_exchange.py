"""`ncmix export` and `ncmix import` against live services."""

from pathlib import Path

from click.testing import CliRunner

from ncmix.cli import main
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from tests.api.lives import Lives
from tests.test_flow import api


def ncmix(*words: str) -> str:
    done = CliRunner().invoke(main, words)
    return done.output if done.exit_code == 0 else f"{done.exit_code}: {done.output}"


def test_an_experiment_goes_into_a_file_and_comes_back(
    database: Database, settings: Settings, environment: dict[str, str], tmp_path: Path
):
    experiment = Lives(database, settings).done(epochs=2, probed=(2,))
    with api(environment) as url:
        for suffix in ("zip", "pkl"):
            file = str(tmp_path / f"run.{suffix}")
            assert ncmix("export", experiment, "-o", file, "--url", url) == f"Written to {file}.\n"
        assert ncmix("import", str(tmp_path / "run.zip"), "--url", url).startswith(f"{experiment}  succeeded  ")
        assert "allowed are .zip and .pkl" in ncmix("export", experiment, "-o", "run.tar", "--url", url)
        assert "There is no experiment" in ncmix("export", "0" * 20, "-o", str(tmp_path / "none.zip"), "--url", url)
        assert "The service refused (422)" in ncmix("import", str(tmp_path / "run.pkl"), "--url", url)
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == ["run.pkl", "run.zip"]
