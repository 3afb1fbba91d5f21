"""The `ncmix` command as a person at a terminal meets it: trained, plotted and measured without any service."""

import csv
import json
import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from ncmix import presets
from ncmix.cli import main
from ncmix.spec import VOCABULARY, parse

TINY = (
    "train --dataset digits --model mlp --loss cross_entropy --epochs 2 --measure 0,1,2 --device cpu"
    " --set measure.geometry.per_pair=5 --set model.hidden=[16] --set dataset.per_class=20"
).split()


def ncmix(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], catch_exceptions=False)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that `ncmix train` wrote."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    result = ncmix(*TINY, "--mix", "mixup", "--alpha", "0.5", "--lr", "5e-2", "--out", folder)
    assert result.exit_code == 0, result.output
    return folder


def test_help_lists_every_command_and_every_choice() -> None:
    assert all(name in ncmix("--help").output for name in ("train", "measure", "plot", "serve", "demo", "presets"))
    page = " ".join(ncmix("train", "--help").output.split())
    for axis in ("dataset", "model", "loss", "mix", "optimizer", "schedule"):
        assert f" {', '.join(VOCABULARY[axis])}." in page


def test_train_writes_metrics_features_manifest_and_pickle(trained: Path) -> None:
    with (trained / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "split", "name", "value"]
    assert {r["epoch"] for r in rows} == {"0", "1", "2"}
    assert {"nc0", "nc1", "nc2_angle_means", "nc3", "nc4", "accuracy", "mix_amplification"} <= {r["name"] for r in rows}
    assert pq.read_table(trained / "metrics.parquet").num_rows == len(rows)
    manifest = json.loads((trained / "manifest.json").read_text())
    assert manifest["spec"]["mix"] == {"kind": "mixup", "alpha": 0.5, "lam": "per_batch", "pairs": "any"}
    assert manifest["versions"]["torch"]
    with np.load(trained / "arrays" / "epoch-00002-train.npz") as features:
        assert features["H"].shape == (200, 16)
    content = pickle.loads((trained / "run.pkl").read_bytes())  # noqa: S301 - plain arrays need no ncmix to open
    assert content["manifest"] == manifest


def test_train_ends_with_the_metrics_and_where_they_are(trained: Path, tmp_path: Path) -> None:
    output = ncmix(*TINY, "--out", tmp_path / "again").output
    assert "mix_amplification" in output
    assert "epoch 2/2" in output
    assert str(tmp_path / "again") in output.replace("\n", "")


@pytest.mark.parametrize("name", ["nc", "curves", "last-layer"])
@pytest.mark.parametrize(("suffix", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_plot_draws_a_folder_or_its_pickle(trained: Path, tmp_path: Path, name: str, suffix: str, magic: bytes) -> None:
    target = tmp_path / f"out.{suffix}"
    result = ncmix("plot", name, trained if suffix == "png" else trained / "run.pkl", "-o", target)
    assert result.exit_code == 0, result.output
    assert target.read_bytes().startswith(magic)


def test_plot_refuses_what_it_cannot_draw(trained: Path, tmp_path: Path) -> None:
    evil = tmp_path / "evil.pkl"
    evil.write_bytes(b"cos\nsystem\n(S'touch " + str(tmp_path / "touched").encode() + b"'\ntR.")
    result = ncmix("plot", "nc", evil)
    assert (result.exit_code, "os.system" in result.output) == (1, True)
    assert not (tmp_path / "touched").exists()
    result = ncmix("plot", "last-layer", trained, "--epoch", "7", "-o", tmp_path / "x.png")
    assert result.exit_code == 1
    assert "7" in result.output
    assert ncmix("plot", "nc", trained, "-o", tmp_path / "x.gif").exit_code == 2
    assert not list(tmp_path.glob("x.*"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--alpha", "1"], "mix.alpha"),
        (["--lr", "-1"], "optimizer.lr: -1.0"),
        (["--measure", "0,99"], "epoch 99 lies past the end"),
        (["--measure", "sometimes"], "measure.epochs"),
        (["--set", "optimizer"], "field=value"),
        (["--set", "batch_size=9999"], "batch_size: 9999"),
        (["--spec", "SPEC", "--preset", "digits-mixup"], "give one of them"),
    ],
)
def test_a_wrong_wish_is_a_sentence_and_leaves_no_folder(tmp_path: Path, words: list[str], said: str) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text("dataset: digits\n")
    result = ncmix(*TINY, *(str(file) if w == "SPEC" else w for w in words), "--out", tmp_path / "run")
    assert result.exit_code != 0
    assert said in result.output
    assert not (tmp_path / "run").exists()


def test_missing_data_are_a_sentence_and_leave_no_folder(tmp_path: Path) -> None:
    words = ["train", "--dataset", "image_folder", "--set", "dataset.name=pets", "--model", "mlp"]
    result = ncmix(*words, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "pets" in result.output
    assert not (tmp_path / "run").exists()


def test_a_run_is_not_written_over_another(trained: Path) -> None:
    before = (trained / "run.pkl").read_bytes()
    assert "not empty" in ncmix(*TINY, "--out", trained).output
    assert (trained / "run.pkl").read_bytes() == before


def test_a_spec_file_is_the_start_and_options_go_over_it(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(
        "{dataset: gaussian, model: {kind: mlp, hidden: [8]}, optimizer: {kind: adamw, lr: 5e-4}, epochs: 9}"
    )
    words = ["train", "--spec", file, "--epochs", "1", "--optimizer", "adamw", "--measure", "last", "--device", "cpu"]
    result = ncmix(*words, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    spec = json.loads((tmp_path / "run" / "manifest.json").read_text())["spec"]
    assert (spec["epochs"], spec["optimizer"]["lr"]) == (1, 5e-4)


def test_a_diverged_run_keeps_what_was_measured(tmp_path: Path) -> None:
    words = [*TINY, "--loss", "mse", "--lr", "1e9", "--out", tmp_path / "run"]
    result = ncmix(*words)
    assert result.exit_code == 1
    assert "diverged" in result.output
    assert "0,train,nc1," in (tmp_path / "run" / "metrics.csv").read_text()


def simplex(tmp_path: Path, **changed: object) -> Path:
    """Collapsed features of anybody's: the class means are a simplex, the classifier its dual."""
    corners = np.eye(4) - 0.25
    arrays = {"H": np.repeat(corners, 5, 0), "y": np.repeat(np.arange(4), 5), "W": corners, "b": np.zeros(4)}
    kept = {name: value for name, value in (arrays | changed).items() if value is not None}
    np.savez(tmp_path / "features.npz", **kept)  # pyright: ignore[reportArgumentType]
    return tmp_path / "features.npz"


def test_measure_prints_the_table_of_anybodys_features(tmp_path: Path) -> None:
    values = json.loads(ncmix("measure", simplex(tmp_path), "--json").output)
    for name in ("nc0", "nc1", "nc2_angle_means", "nc2_norm_weights", "nc3", "nc4", "nc4_bias"):
        assert values[name] == pytest.approx(0, abs=1e-9)
    assert values["accuracy"] == 1
    table = ncmix("measure", simplex(tmp_path, b=None)).output
    assert "nc2_uniformity" in table


def test_measure_knows_splits_and_losses(tmp_path: Path) -> None:
    wrong = np.repeat(np.arange(4), 5)
    wrong[:2] = 1
    file = simplex(tmp_path, y=wrong, M=np.eye(4)[::-1])
    values = json.loads(ncmix("measure", file, "--split", "test", "--loss", "mse", "--json").output)
    assert values["ece"] is None
    assert values["temperature"] > 0
    assert values["ece_scaled"] >= 0
    assert values["ncc_accuracy"] == pytest.approx(0)
    assert "no probability" in ncmix("measure", file, "--loss", "bce").output
    values = json.loads(ncmix("measure", file, "--json").output)
    assert values["ece"] > 0
    assert "temperature" not in values


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"W": None}, "lacks the array 'W'"),
        ({"W": np.eye(3)}, "one D"),
        ({"y": np.zeros(20)}, "whole numbers"),
        ({"y": np.full(20, 9)}, "9"),
        ({"b": np.zeros(3)}, "shape (4,)"),
        ({"M": np.zeros((3, 4))}, "M must have the shape of W"),
        ({"H": np.array([{}] * 20)}, "plain arrays"),
        ({"H": np.full((20, 4), "x")}, "real numbers"),
    ],
)
def test_arrays_that_cannot_be_measured_are_a_sentence(tmp_path: Path, changed: dict[str, object], said: str) -> None:
    result = ncmix("measure", simplex(tmp_path, **changed))
    assert result.exit_code == 1
    assert said in result.output


def test_a_file_that_is_no_npz_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 not really")
    result = ncmix("measure", tmp_path / "x.npz")
    assert (result.exit_code, "not a readable .npz" in result.output) == (1, True)


def test_the_vocabulary_is_all_that_can_be_said_and_measured() -> None:
    listed = json.loads(ncmix("vocabulary", "--json").output)
    assert {axis: list(kinds) for axis, kinds in listed["axes"].items()} == {a: list(k) for a, k in VOCABULARY.items()}
    assert listed["axes"]["mix"]["mixup"]["fields"]["alpha"]["default"] == 1.0
    assert listed["axes"]["model"]["timm"]["fields"]["name"]["required"]
    assert listed["metrics"]["nc1"]["source"].startswith("Papyan")
    page = ncmix("vocabulary").output
    names = [*(k for kinds in VOCABULARY.values() for k in kinds), *listed["fields"], *listed["metrics"]]
    assert all(name in page for name in (*names, *listed["presets"], *listed["plots"]))
    part = ncmix("vocabulary", "loss", "metrics").output
    assert ("focal" in part, "nc2_etf_means" in part, "resnet18" in part) == (True, True, False)
    assert ncmix("vocabulary", "colour").exit_code == 2


def test_theory_prints_the_optimum_of_mixtures() -> None:
    words = "theory --classes 10 --m 1 --lambda-h 1e-3 --lam 0.7".split()
    found = json.loads(ncmix(*words, "--json").output)
    assert found["p_i"] == pytest.approx(0.69527, abs=5e-6)
    assert found["p_j"] == pytest.approx(0.29604, abs=5e-6)
    assert found["norm"] == pytest.approx(7.264, abs=5e-4)
    assert found["p_i"] + found["p_j"] + 8 * found["q"] == pytest.approx(1)
    assert found["norm"] ** 2 == pytest.approx(
        found["along_i"] ** 2 + found["along_j"] ** 2 - 2 / 9 * found["along_i"] * found["along_j"]
    )
    assert [row["lam"] for row in json.loads(ncmix(*words, "--lam", "1", "--json").output)] == [0.7, 1]
    assert "7.264" in ncmix(*words).output


@pytest.mark.parametrize("wrong", ["--classes 1", "--lambda-h 0", "--lam 1.5", "--m nan"])
def test_a_theory_of_impossible_parameters_is_a_sentence(wrong: str) -> None:
    result = ncmix(*"theory --classes 10 --lambda-h 1e-3".split(), *wrong.split())
    assert (result.exit_code, wrong.split()[1] in result.output) == (1, True)


def test_presets_are_listed_and_one_is_shown_whole() -> None:
    page = ncmix("presets").output
    assert all(name in page for name in presets.names())
    whole = ncmix("presets", "losses-equal", "--scale", "small").output
    for number, spec in enumerate(presets.load("losses-equal", "small").specs, 1):
        assert f"--run {number}  {spec.title}" in whole
    assert "loss.gamma=3.0" in whole
    shown = json.loads(ncmix("presets", "losses-equal", "--json").output)
    assert [parse(spec) for spec in shown["specs"]] == list(presets.load("losses-equal").specs)
    assert len(json.loads(ncmix("presets", "--json").output)["items"]) == len(presets.names())
    assert "digits-mixup" in ncmix("presets", "digits").output  # no such preset: which there are


def test_an_experiment_of_a_preset_is_chosen_by_scale_and_number(tmp_path: Path) -> None:
    chosen = ["train", "--preset", "digits-mixup", "--scale", "small", "--epochs", "1", "--measure", "last"]
    result = ncmix(*chosen, "--run", "2", "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    spec = json.loads((tmp_path / "run" / "manifest.json").read_text())["spec"]
    assert (spec["name"], spec["mix"]["kind"]) == ("digits · mixup", "mixup")
    assert "has experiments 1 to 2" in ncmix(*chosen, "--run", "3").output
