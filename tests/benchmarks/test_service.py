"""The benchmarks of the service at tiny sizes: every line runs, every number is one. How fast is not asked."""

import json
import math
import sys
import time
from contextlib import contextmanager

import pytest

from benchmarks import report
from benchmarks.scaling import __main__ as scaling
from benchmarks.service import __main__ as service
from benchmarks.service import corpus, peer
from benchmarks.service.driving import drive, quantiles


@contextmanager
def client():
    yield lambda number: time.sleep(0.001)


def test_clients_that_ask_again_at_once_are_as_fast_as_they_get_answers():
    timing = drive(client, 0.3, clients=4)
    assert timing.rate > 200
    assert 1.0 <= timing.p50 <= timing.p99


def test_a_steady_pace_is_kept():
    timing = drive(client, 0.5, clients=2, rate=40.0)
    assert 30 < timing.rate < 50


def test_a_request_that_fails_ends_it_with_a_sentence():
    @contextmanager
    def failing():
        def fail(number):
            raise OSError("refused")

        yield fail

    with pytest.raises(RuntimeError, match=r"A client failed: refused"):
        drive(failing, 5.0, clients=2)


def test_quantiles_are_in_milliseconds():
    assert quantiles([0.003, 0.001, 0.002]) == (2.0, 3.0)


def test_the_peer_gets_every_field_of_a_spec_as_a_parameter():
    flat = corpus.flat(corpus.spec(3).model_dump(mode="json"))
    assert flat["seed"] == "3"
    assert flat["optimizer.kind"] == "sgd"
    assert peer.HOME.parts[0] == "build"


def test_the_service_command_measures_everything(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["--no-mlflow", "--experiments", "60", "--seconds", "0.3", "--viewers", "3"]
    monkeypatch.setattr(sys, "argv", ["benchmark", *words])
    service.main()
    tables = json.loads((report.FOLDER / "service.json").read_text())["tables"]
    assert [len(table["rows"]) for table in tables] == [5, 4, 1]
    assert all(cell > 0 for table in tables for row in table["rows"] for cell in row if isinstance(cell, float))
    assert "list 50" in capsys.readouterr().out


@pytest.mark.usefixtures("postgres_url", "redis_url")
def test_a_simulated_fleet_does_what_is_asked_of_it(monkeypatch):
    monkeypatch.setattr("benchmarks.scaling.fleet.SHORTEST", 0.2)
    monkeypatch.setattr("benchmarks.scaling.fleet.LONGEST", 0.4)
    name, load, waited = scaling.measure(3, 2.0, 1.0)
    assert name == "3"
    assert all(math.isfinite(number) for number in load)
    assert load[1] > 3  # at least its looks and signs of life
    assert all(milliseconds > 0 for milliseconds in waited)
