"""The benchmarks' commands at tiny sizes on the CPU: every line runs, every number is one. How fast is not asked."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from benchmarks import checkpoint, features, gpu, report, slots, training
from benchmarks.clock import interleaved, ratio
from benchmarks.report import Table
from benchmarks.subjects import Ours, Plain, pictures, spec

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """What is written goes to a temporary folder, and the number of threads stays."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def command(monkeypatch, main, *words):
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    main()


def read(name):
    return json.loads((report.FOLDER / f"{name}.json").read_text())


def numbers(table):
    return [cell for row in table["rows"] for cell in row if isinstance(cell, float)]


@pytest.mark.long
def test_the_gpu_command_does_all_its_sections_on_a_cpu(monkeypatch, capsys):
    command(monkeypatch, gpu.main, "--quick", "--device", "cpu")
    written = read("gpu")
    assert {"date", "processor", "torch", "python"} <= written["machine"].keys()
    titles = [table["title"] for table in written["tables"]]
    assert len(titles) == 5
    assert not any("failed" in table["columns"] for table in written["tables"])
    assert all(math.isfinite(n) and n > 0 for table in written["tables"] for n in numbers(table))
    shown = capsys.readouterr().out
    assert all(title.split(",")[0] in shown for title in titles)


def test_a_section_that_fails_is_a_line_and_the_next_goes_on(capsys):
    def fails():
        yield Table("half", ("what",), [("done",)])
        raise RuntimeError("no such kernel")

    done = gpu.run({"one": fails, "two": lambda: iter([Table("other", ("what",), [("x",)])])})
    assert [table.title for table in done] == ["half", "one", "other"]
    assert done[1].rows == [("RuntimeError: no such kernel",)]
    assert [table["title"] for table in read("gpu")["tables"]] == ["half", "one", "other"]
    assert "no such kernel" in capsys.readouterr().out


def test_only_the_sections_that_are_asked_for(monkeypatch):
    command(monkeypatch, gpu.main, "--quick", "--device", "cpu", "--only", "deterministic")
    assert len(read("gpu")["tables"]) == 1
    with pytest.raises(SystemExit):
        command(monkeypatch, gpu.main, "--device", "cpu", "--only", "everything")


def test_the_training_command_has_a_row_for_erm_and_one_for_mixup(monkeypatch, capsys):
    command(monkeypatch, training.main, "--quick", "--device", "cpu", "--rounds", "1", "--workers", "0")
    (table,) = read("training")["tables"]
    assert [row[1] for row in table["rows"]] == ["none", "mixup"]
    assert all(n > 0 for n in numbers(table))
    assert "mixup" in capsys.readouterr().out


def test_pictures_of_a_folder_serve_as_well(tmp_path):
    for split in ("train", "test"):
        for name in ("a", "b", "c"):
            (tmp_path / "p" / split / name).mkdir(parents=True)
            for i in range(5):
                pixels = np.random.default_rng(i).integers(0, 255, (40, 50, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "p" / split / name / f"{i}.png")
    data = pictures(12, CPU, tmp_path / "p")
    assert (len(data.train), data.shape) == (12, (3, 32, 32))


@pytest.mark.parametrize("mix", ["none", "mixup"])
def test_what_is_compared_does_the_same_work(mix):
    wanted = spec(model={"kind": "convnet", "width": 0.0625}, mix=mix, batch_size=8)
    data = pictures(24, CPU, None)
    ours, plain = Ours(wanted, CPU, data), Plain(wanted, CPU, data, workers=0)
    before = [p.clone() for p in plain.network.parameters()]
    assert ours.steps() == ours.epoch() == plain.epoch() == 24
    assert any(not torch.equal(p, q) for p, q in zip(plain.network.parameters(), before, strict=True))
    count = sum(p.numel() for p in plain.network.parameters())
    assert count == sum(p.numel() for p in ours.trainer.network.parameters())


def test_rounds_are_in_turn_and_the_first_does_not_count():
    order = []

    def work(name):
        order.append(name)
        return 1

    rates = interleaved({"a": lambda: work("a"), "b": lambda: work("b")}, 2, CPU)
    assert order == ["a", "b"] * 3
    assert [len(r) for r in rates.values()] == [2, 2]
    assert ratio([2.0, 6.0, 4.0], [1.0, 2.0, 4.0]) == 2.0


def test_a_process_that_dies_is_a_sentence():
    with pytest.raises(RuntimeError, match=r"A process of the benchmark ended with 1"):
        list(slots.table([1], 0.1, "no-such-device", 0.0625))


def test_a_table_needs_no_rich(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rich", None)
    report.show(Table("Speeds", ("what", "images/s"), [("ours", 12345.6), ("none", None), ("small", 0.12345)]))
    assert capsys.readouterr().out.splitlines() == [
        "Speeds", "what   images/s", "ours   12,346", "none   –", "small  0.123", ""
    ]  # fmt: skip


@pytest.mark.long
@pytest.mark.postgres
def test_the_features_command_measures_every_store_and_every_format(monkeypatch, capsys):
    command(monkeypatch, features.main, "--quick", "--rounds", "1")
    stores, streams = read("features")["tables"]
    assert [row[0] for row in stores["rows"]] == ["plain file", "SQLite", "PostgreSQL"]
    assert len(streams["rows"]) == 6
    assert all(math.isfinite(n) for table in (stores, streams) for n in numbers(table))
    assert "MB of memory" in capsys.readouterr().out


def test_a_checkpoint_has_a_size_and_a_price(monkeypatch, capsys):
    command(monkeypatch, checkpoint.main, "--quick", "--device", "cpu", "--rounds", "2")
    (table,) = read("checkpoint")["tables"]
    assert [row[0] for row in table["rows"]] == ["sgd", "adam"]
    assert all(n > 0 for n in numbers(table))
    assert table["rows"][1][1] > 1.3 * table["rows"][0][1]  # two numbers beside each weight, not one
    assert "A checkpoint" in capsys.readouterr().out
