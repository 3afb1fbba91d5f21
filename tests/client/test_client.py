"""The client against a real service whose worker trains: submit, wait, look, steer, fetch, through a restart."""

import builtins
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ncmix.client import ApiError, Client, Experiment, MissingError, MissingPandasError
from tests.client.service import whole_service
from tests.servers import Api, wait_for
from tests.toys import toy

pytestmark = pytest.mark.timeout(300)
PATIENCE = 120.0
LONG = {"name": "epoch=0.05", "epochs": 100_000}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with whole_service(tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A service whose worker records without training; the names of specs say how it behaves."""
    with whole_service(tmp_path_factory.mktemp("quick"), "tests.faults.toy_worker") as running:
        yield running


@pytest.fixture
def steered(quick: Api) -> Iterator[Client]:
    with Client(quick.url) as connected:
        yield connected


@pytest.fixture
def client(api: Api) -> Iterator[Client]:
    with Client(api.url) as connected:
        yield connected


@pytest.fixture(scope="module")
def done(api: Api) -> Iterator[Experiment]:
    """An experiment that has succeeded."""
    with Client(api.url) as client:
        spec = toy(epochs=2, name="whole", measure={"epochs": {"every": 1}, "geometry": {"classes": [0, 1, 2]}})
        ended = client.submit(spec).wait(timeout=PATIENCE)
        assert ended.succeeded, ended.log()
        yield ended


def started(client: Client, seed: int) -> Experiment:
    """A long experiment, under way."""
    posted = client.submit(toy(seed=seed, **LONG))
    wait_for(lambda: posted.refresh().epoch > 0, "A start", PATIENCE, every=0.05)
    return posted


def test_an_experiment_is_what_the_service_says(client: Client, done: Experiment):
    assert (done.state, done.ended, done.epoch, done.progress, done.title) == ("succeeded", True, 2, 1.0, "whole")
    assert done.started_at is not None
    assert done.finished_at is not None
    assert done.created_at <= done.started_at < done.finished_at
    assert done.reason is not None
    assert done.reason.code == "finished"
    assert client.submit(toy(epochs=2, measure=done.spec["measure"])) == done  # the same spec by another name
    assert [e.id for e in client.experiments(state="succeeded", dataset="gaussian")] == [done.id]
    for word in (done.id, done.id[:18], done.id[-5:]):
        assert client.experiment(word).id == done.id
    for word in ("00000", "zzz", done.id[-5:] + "0"):
        with pytest.raises(MissingError, match=f"begins or ends with '{word}'"):
            client.experiment(word)
    with pytest.raises(ApiError, match="There is no experiment"):
        client.experiment("f" * 20)


def test_its_numbers_as_rows_frame_and_arrays(done: Experiment):
    rows = done.metric_rows()
    frame = done.metrics()
    assert list(frame.columns) == ["epoch", "split", "name", "value", "note"]
    assert len(frame) == len(rows)
    nc1 = done.metrics(name="nc1", split=["train"]).set_index("epoch")["value"]
    assert nc1[2] == done.latest["train"]["nc1"]
    kept = {(s["name"], s["epoch"]): s for s in done.feature_sets()}
    arrays = done.features()
    assert arrays["H"].shape == (120, 8)
    assert {name: list(a.shape) for name, a in arrays.items()} == {
        a["name"]: a["shape"] for a in kept["train", 2]["arrays"]
    }
    first = done.features("train", label=0, rows="0:7")
    assert np.array_equal(first["H"], arrays["H"][arrays["y"] == 0][:7])
    with pytest.raises(ApiError, match="404"):
        done.features("nothing")


def test_without_pandas_a_frame_is_refused_in_a_sentence(done: Experiment, monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingPandasError, match=r"ncmix\[client\]"):
        done.metrics()


def test_a_plot_shows_in_a_notebook_and_goes_into_files(client: Client, done: Experiment, tmp_path: Path):
    png, svg = done.plot("last-layer", epoch=1, theme="dark"), done.plot("nc", "svg")
    assert png._repr_png_() == png.content
    assert png.content.startswith(b"\x89PNG")
    assert (png._repr_svg_(), png._repr_html_()) == (None, None)
    assert (svg._repr_svg_() or "").partition("<svg")[1]
    html = done.plot("nc", "html")
    assert b"<script src" not in html.content  # It needs nothing of the service any more, neither here nor in a file.
    assert b"Plotly.react" in html.content
    assert (html._repr_html_() or "").startswith('<iframe srcdoc="&lt;!doctype html&gt;')
    assert png.save(tmp_path / "a.png").read_bytes() == png.content
    assert png.save(tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert svg.data()["plot"] == "nc"
    assert client.compare([done, done.id], "nc").url.endswith(f"ids={done.id}%2C{done.id}")
    with pytest.raises(ApiError, match="There is no plot 'x'"):
        done.plot("x")


def test_everything_in_one_file(client: Client, done: Experiment, tmp_path: Path):
    assert client.import_file(done.export(tmp_path / "run.zip")) == done
    assert done.export(tmp_path / "run.pkl").stat().st_size > 1000
    with pytest.raises(ApiError):
        done.export(tmp_path / "run.tar")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["run.pkl", "run.zip"]


def test_a_stream_and_the_log_are_all_there_is(done: Experiment):
    found = list(done.stream())
    assert found[-1].kind == "end"
    assert "".join(m.data["text"] for m in found if m.kind == "log") == done.log() == "".join(done.log_parts())
    assert "epoch 2" in done.log()
    assert [m.kind for m in done.stream(after=found[-1].id)] == ["end"]


def test_steering(steered: Client):
    running = started(steered, 1)
    assert running.pause().state in {"pausing", "paused"}
    wait_for(lambda: running.refresh().state == "paused", "A pause", PATIENCE, every=0.05)
    assert running.resume().state == "queued"
    assert running.cancel().state in {"cancelling", "cancelled"}
    ended = running.wait(timeout=PATIENCE)
    assert (ended.state, ended.succeeded) == ("cancelled", False)
    again = ended.retry()
    assert (again.parent, again.key) == (ended.id, ended.key)
    again.cancel()
    again.wait(timeout=PATIENCE)
    again.delete()
    with pytest.raises(ApiError, match="404"):
        again.refresh()


def test_what_has_succeeded_is_extended(client: Client):
    short = client.submit(toy(seed=5, epochs=2)).wait(timeout=PATIENCE)
    longer = short.extend(3, "schedule=constant").wait(timeout=PATIENCE)
    assert (longer.state, longer.epoch, longer.parent) == ("succeeded", 3, short.id)


def test_waiting_survives_a_restart_of_the_api(quick: Api, steered: Client):
    running = started(steered, 2)
    epochs: list[int] = []
    ended: list[str] = []

    def watch() -> None:
        for now in steered.follow([running]):
            epochs.append(now.epoch)
            ended[:] = [now.state]

    thread = threading.Thread(target=watch)
    thread.start()
    wait_for(lambda: epochs, "A first sight", PATIENCE)
    quick.kill()
    seen = max(epochs)
    quick.start()
    wait_for(lambda: max(epochs) > seen, "News after the restart", PATIENCE)
    running.cancel()
    thread.join(PATIENCE)
    assert ended == ["cancelled"]
    assert epochs == sorted(epochs)


def test_a_sweep_from_its_definition_to_its_frame(steered: Client, tmp_path: Path):
    base = toy(epochs=2).model_dump(mode="json")
    definition = {"name": "study", "base": base, "grid": {"mix": ["none", "mixup"]}, "seeds": [10, 11]}
    assert steered.plan_sweep(definition)["made"] == 4
    made = steered.submit_sweep(definition)
    assert (made.cells, made.made, made.shared) == (4, 4, 0)
    ended = made.wait(timeout=PATIENCE)
    assert (ended.succeeded, ended.states) == (True, {"succeeded": 4})
    assert len(list(ended.experiments())) == 4
    frame = ended.metrics(metrics="accuracy", split="test")
    assert list(frame["mix.kind"]) == ["none", "mixup"]
    assert list(frame["n"]) == [2, 2]
    assert ended.plot("curves").save(tmp_path / "curves.png").stat().st_size > 1000
    assert steered.sweep(made.id[-6:]) == ended
    assert [s.id for s in steered.sweeps()] == [made.id]
    ended.delete(experiments=True)
    with pytest.raises(MissingError):
        steered.sweep(made.id[-6:])


def test_what_can_be_asked_for(client: Client):
    assert "digits" in client.vocabulary()["axes"]["dataset"]
    (small,) = [p for p in client.presets("small") if p["name"] == "digits-mixup"]
    assert len(small["specs"]) == 2
