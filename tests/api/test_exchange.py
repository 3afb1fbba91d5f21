"""From one service to another: what was exported and imported is the same, row by row, array by array, plot by plot."""

import hashlib
import io
import json
import pickle
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import yaml
from fastapi.testclient import TestClient
from sqlalchemy import select

from api.app import create
from ncmix import rundir
from ncmix.jobs import features, parcel
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Reason
from ncmix.jobs.tables import Base, Event, Experiment, FeatureChunk, FeatureSet
from ncmix.plots import PLOTS
from ncmix.results import ArraySet
from ncmix.spec import parse
from ncmix.unpickle import loads
from tests.api.lives import Lives

HERE = "/api/v1/experiments"
KEPT = ArraySet(
    "train",
    {"H": np.linspace(-1, 1, 400, dtype=np.float32).reshape(50, 8), "y": np.arange(50) % 3, "c": np.array(["ß"] * 50)},
)


@pytest.fixture
def elsewhere(request: pytest.FixtureRequest, settings: Settings, tmp_path: Path) -> Iterator[Database]:
    """The record of another service, on the other kind of database."""
    postgres = settings.database_url.startswith("sqlite")
    url = request.getfixturevalue("postgres_url" if postgres else "sqlite_url")
    opened = Database(url.replace("postgresql://", "postgresql+psycopg://"))
    yield opened
    opened.dispose()


@pytest.fixture
def other(elsewhere: Database, settings: Settings) -> Iterator[TestClient]:
    """A client of that service."""
    url = elsewhere.engine.url.render_as_string(hide_password=False)
    with TestClient(
        create(replace(settings, database_url=url)), base_url="http://localhost", raise_server_exceptions=False
    ) as client:
        yield client


def lived(lives: Lives) -> str:
    """An experiment with a past: every kind of plot, features, a log, a note, a bad end."""
    lease = lives.running(epochs=2, probed=(1, 2), tags=["a", "b"], name="of Gauß")
    lives.keep(lease, 3, KEPT)
    lives.log(lease, "λ\n".encode() * 50_000)
    return lives.fail(lease, Reason("oom", "Memory ran out."))


def rows(database: Database, experiment: str) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table that belongs to an experiment, but for the numbers that a database gives out itself."""
    found = {}
    with database.reading() as session:
        sets = dict(
            session.execute(select(FeatureSet.id, FeatureSet.name).order_by(FeatureSet.epoch, FeatureSet.name)).all()
        )
        for table in Base.metadata.sorted_tables:
            own = table.c.get("experiment_id") if table.name != "experiment" else table.c.id
            if own is not None or table.name == "feature_chunk":
                query = select(table) if own is None else select(table).where(own == experiment)
                read = [dict(row._mapping) for row in session.execute(query)]
                found[table.name] = sorted((_named(row, table.name, sets) for row in read), key=repr)
    return found


def _named(row: dict[str, Any], table: str, sets: dict[int, str]) -> dict[str, Any]:
    if table in ("event", "feature_set"):
        row.pop("id")
    if table == "feature_chunk":
        row["set_id"] = sets[row["set_id"]]
    return row


def test_every_row_array_and_plot_survives_the_way_to_another_database_and_back(
    client: TestClient, other: TestClient, lives: Lives, database: Database, elsewhere: Database
):
    experiment = lived(lives)
    before, plots = rows(database, experiment), drawn(client, experiment)
    exported = client.get(f"{HERE}/{experiment}/export.zip").content
    answer = post(other, exported)
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"{HERE}/{experiment}"
    assert rows(elsewhere, experiment) == before
    assert drawn(other, experiment) == plots
    assert other.get(f"{HERE}/{experiment}/log").content == client.get(f"{HERE}/{experiment}/log").content
    # Once more, it is there.
    assert post(other, exported).status_code == 200
    # And back, where it was deleted meanwhile.
    again = other.get(f"{HERE}/{experiment}/export.zip").content
    assert again == exported
    assert client.delete(f"{HERE}/{experiment}").status_code == 204
    assert post(client, again).status_code == 201
    assert rows(database, experiment) == before


def post(client: TestClient, content: bytes, kind: str = "application/zip") -> Any:
    return client.post("/api/v1/imports", content=content, headers={"Content-Type": kind})


def drawn(client: TestClient, experiment: str) -> dict[str, Any]:
    """The numbers of every plot."""
    return {name: client.get(f"{HERE}/{experiment}/plots/{name}.json").json() for name in PLOTS}


def test_the_zip_is_a_run_directory(client: TestClient, lives: Lives, tmp_path: Path):
    experiment = lived(lives)
    with zipfile.ZipFile(io.BytesIO(client.get(f"{HERE}/{experiment}/export.zip").content)) as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "run")
    folder = tmp_path / "run"
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, told in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == told["sha256"]
    assert parse(yaml.safe_load((folder / "spec.yaml").read_text())) == parse(manifest["spec"])
    assert (folder / "metrics.csv").read_text() == client.get(f"{HERE}/{experiment}/metrics.csv").text
    run = rundir.read(folder)
    assert run.last("nc1", "train") == pytest.approx(4 / 3)
    assert list(run.probes) == list(run.summaries) == [1, 2]
    with np.load(folder / "arrays" / "epoch-00003-train.npz") as arrays:
        np.testing.assert_array_equal(arrays["H"], KEPT.arrays["H"])


def test_the_pickle_holds_nothing_but_arrays_and_builtins(client: TestClient, lives: Lives, tmp_path: Path):
    experiment = lived(lives)
    content = client.get(f"{HERE}/{experiment}/export.pkl").content
    (tmp_path / "run.pkl").write_bytes(content)
    assert rundir.read(tmp_path / "run.pkl").last("nc1", "test") == pytest.approx(8 / 3)
    for read in (loads, pickle.loads):
        kept = {(s["epoch"], s["name"]): s["arrays"] for s in read(content)["sets"]}
        for name, array in KEPT.arrays.items():
            np.testing.assert_array_equal(kept[3, "train"][name], array)


def test_metrics_as_parquet_have_their_notes(client: TestClient, lives: Lives):
    experiment = lives.done(epochs=2)
    table = pq.read_table(io.BytesIO(client.get(f"{HERE}/{experiment}/metrics.parquet").content)).to_pylist()
    assert table == client.get(f"{HERE}/{experiment}/metrics").json()["items"]


def changed(content: bytes, change: Callable[[dict[str, bytes]], None], *, sealed: bool = True) -> bytes:
    """The archive with other files in it; `sealed`, with digests that fit."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    if sealed:
        manifest = json.loads(files["manifest.json"])
        manifest["files"] = {
            n: {"sha256": hashlib.sha256(d).hexdigest()} for n, d in files.items() if n != "manifest.json"
        }
        files["manifest.json"] = json.dumps(manifest).encode()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return packed.getvalue()


def put(name: str, data: bytes) -> Callable[[dict[str, bytes]], None]:
    return lambda files: files.update({name: data})


def told(**changes: object) -> Callable[[dict[str, bytes]], None]:
    def change(files: dict[str, bytes]) -> None:
        manifest = json.loads(files["manifest.json"])
        manifest["experiment"].update(changes)
        files["manifest.json"] = json.dumps(manifest).encode()

    return change


def npz(**arrays: np.ndarray) -> bytes:
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)  # type: ignore[arg-type]
    return packed.getvalue()


def lying_npz() -> bytes:
    header, packed = io.BytesIO(), io.BytesIO()
    described = {"descr": "<f8", "fortran_order": False, "shape": (10**12,)}
    np.lib.format.write_array_header_1_0(header, described)
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("H.npy", header.getvalue() + b"12345678")
    return packed.getvalue()


TRAIN = "arrays/epoch-00003-train.npz"
REFUSED: list[tuple[Callable[[dict[str, bytes]], None], bool, str]] = [
    (put("../../etc/passwd", b"x"), True, "'../../etc/passwd', which no exported experiment has"),
    (put("/abs.txt", b"x"), True, "'/abs.txt', which no exported experiment has"),
    (put("run.pkl", b"x"), True, "'run.pkl', which no exported experiment has"),
    (lambda files: files.pop("log.txt"), True, "The file holds no log.txt."),
    (put("log.txt", b"other"), False, "log.txt is not as it was exported: its SHA-256 is another."),
    (put("log.txt", bytes(3_000_000)), True, "allowed are 2,000,000."),
    (put(TRAIN, npz(H=np.zeros(5_000_000))), True, "allowed are 2,000,000."),
    (put(TRAIN, npz(H=np.zeros(5), y=np.zeros(6))), True, "have different numbers of rows: [5, 6]."),
    (put(TRAIN, lying_npz()), True, "is no array of plain values, or not as long as its header says."),
    (put(TRAIN, npz(H=np.array([{}], object))), True, "is no array of plain values"),
    (put(TRAIN, b"PK"), True, "The file is not a zip that can be read"),
    (put("metrics.parquet", b"x"), True, "metrics.parquet cannot be read"),
    (put("events.json", b"[{}]"), True, "What the file says of its experiment cannot be: 0/at: Field required."),
    (put("events.json", b"["), True, "events.json is not JSON"),
    (put("manifest.json", b"{}"), False, "The format of the file is None; allowed is 'ncmix export 1'."),
    (told(state="running"), True, "The experiment was running when it was exported"),
    (told(id="../x"), True, "What the file says of its experiment cannot be: id"),
    (told(surprise=1), True, "surprise"),
]  # fmt: skip


def test_what_is_not_right_is_a_sentence_and_nothing_is_written(
    settings: Settings, lives: Lives, database: Database, monkeypatch: pytest.MonkeyPatch
):
    with TestClient(
        create(replace(settings, import_limit=2_000_000)), base_url="http://localhost", raise_server_exceptions=False
    ) as client:
        experiment = lived(lives)
        content = client.get(f"{HERE}/{experiment}/export.zip").content
        client.delete(f"{HERE}/{experiment}")
        for change, sealed, said in REFUSED:
            answer = post(client, changed(content, change, sealed=sealed))
            assert (answer.status_code, said in answer.json()["detail"]) == (422, True), (answer.text, said)
        assert post(client, b"no zip").status_code == 422
        assert post(client, content, "text/html").status_code == 415
        assert post(client, bytes(2_000_001)).status_code == 413
        with database.reading() as session:
            for table in (Experiment, Event, FeatureSet, FeatureChunk):
                assert session.scalars(select(table)).all() == []
        assert post(client, content).status_code == 201


def test_an_import_that_fails_half_way_leaves_nothing_and_one_that_died_can_be_repeated(
    client: TestClient, lives: Lives, database: Database, monkeypatch: pytest.MonkeyPatch
):
    experiment = lived(lives)
    content = client.get(f"{HERE}/{experiment}/export.zip").content
    client.delete(f"{HERE}/{experiment}")
    with monkeypatch.context() as patched:
        patched.setattr(features, "stage", lambda *_: 1 / 0)
        assert post(client, content).status_code == 500
    assert client.get(f"{HERE}/{experiment}").status_code == 404
    with monkeypatch.context() as patched:
        patched.setattr("ncmix.jobs.importing._fill", lambda *_: None)
        post(client, content)
    assert client.get(f"{HERE}/{experiment}").json()["state"] == "running"
    assert "is being imported" in post(client, content).json()["detail"]
    with database.transaction() as session:
        session.get_one(Experiment, experiment).state = "failed"  # as the reaper has it
    assert post(client, content).status_code == 201
    assert parcel.EXPORT in content.decode("latin-1")
