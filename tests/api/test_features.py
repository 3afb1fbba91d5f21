"""Array sets over HTTP: listed with their digests, and as files, whole, by rows, by class and by range of bytes."""

import hashlib
import io
from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from ncmix.jobs import chunks
from ncmix.jobs.database import Database
from ncmix.jobs.tables import FeatureChunk
from ncmix.results import ArraySet
from tests.api.lives import Lives

HERE = "/api/v1/experiments"
ROWS, D = 1000, 16


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small arrays have many."""
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 10_000)
    monkeypatch.setattr("ncmix.jobs.features.CHUNK_BYTES", 10_000)
    monkeypatch.setattr("ncmix.jobs.files.CHUNK_BYTES", 10_000)


def kept(dtype: str = "float32") -> ArraySet:
    """Features of a thousand samples of ten classes."""
    draw = np.random.default_rng(0)
    return ArraySet("train", {"H": draw.standard_normal((ROWS, D)).astype(dtype), "y": draw.integers(10, size=ROWS)})


@pytest.fixture
def train() -> ArraySet:
    """What the experiments here have kept."""
    return kept()


@pytest.fixture
def here(lives: Lives, train: ArraySet) -> str:
    """The address of the features of an experiment that has some of epochs 1 and 2."""
    classifier = ArraySet("classifier", {"W": np.eye(3, 4, dtype=np.float32), "b": np.zeros(3, np.float32)})
    lease = lives.running()
    lives.keep(lease, 1, train)
    lives.keep(lease, 2, train, classifier)
    return f"{HERE}/{lives.finish(lease)}/features"


def loaded(data: bytes) -> np.ndarray:
    return np.load(io.BytesIO(data), allow_pickle=False)


def test_the_sets_are_listed_with_digests_and_addresses(client: TestClient, here: str, train: ArraySet):
    items = client.get(here).json()["items"]
    assert [(i["epoch"], i["name"]) for i in items] == [(1, "train"), (2, "classifier"), (2, "train")]
    h, y = items[2]["arrays"]
    assert (h["name"], h["dtype"], h["shape"], h["bytes"]) == ("H", "<f4", [ROWS, D], 4 * ROWS * D)
    assert h["sha256"] == hashlib.sha256(train.arrays["H"].tobytes()).hexdigest()
    assert items[2]["bytes"] == h["bytes"] + y["bytes"]
    array = loaded(client.get(h["npy"]).content)
    assert hashlib.sha256(array.tobytes()).hexdigest() == h["sha256"]
    assert client.get(items[2]["files"]["npz"]).status_code == 200
    assert client.get(f"{HERE}/{'0' * 20}/features").status_code == 404
    experiment = client.get(here.removesuffix("/features")).json()
    assert experiment["links"]["features"] == here


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_file_is_what_numpy_would_have_written(client: TestClient, lives: Lives, dtype: str):
    lease, arrays = lives.running(), kept(dtype)
    lives.keep(lease, 1, arrays)
    written = io.BytesIO()
    np.save(written, arrays.arrays["H"])
    answer = client.get(f"{HERE}/{lease.experiment_id}/features/train.npy")
    assert answer.content == written.getvalue()
    assert answer.headers["content-length"] == str(len(written.getvalue()))


WANTED: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "": lambda h, _: h,
    "array=y": lambda _, y: y,
    "epoch=1": lambda h, _: h,
    "rows=0:0": lambda h, _: h[:0],
    "rows=10:20": lambda h, _: h[10:20],
    "rows=150:": lambda h, _: h[150:],
    "rows=:5000": lambda h, _: h,
    "rows=20:10": lambda h, _: h[:0],
    "class=3": lambda h, y: h[y == 3],
    "class=3&array=y": lambda _, y: y[y == 3],
    "class=3&rows=5:30": lambda h, y: h[y == 3][5:30],
    "class=77": lambda h, _: h[:0],
}


def test_rows_and_classes_are_chosen_alike_in_every_format(client: TestClient, here: str, train: ArraySet):
    for query, wanted in WANTED.items():
        expected = wanted(train.arrays["H"], train.arrays["y"])
        name = "y" if "array=y" in query else "H"
        npy, npz, parquet = (client.get(f"{here}/train.{kind}?{query}") for kind in ("npy", "npz", "parquet"))
        np.testing.assert_array_equal(loaded(npy.content), expected)
        with np.load(io.BytesIO(npz.content)) as arrays:
            np.testing.assert_array_equal(arrays[name], expected)
            assert len(arrays) == (1 if "array" in query else 2)
        assert len(npz.content) == int(npz.headers["content-length"])
        column = pq.read_table(io.BytesIO(parquet.content))[name]
        flat = column.combine_chunks().flatten() if expected.ndim == 2 else column
        np.testing.assert_array_equal(flat.to_numpy().reshape(expected.shape), expected)


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_any_part_can_be_had_by_itself(client: TestClient, here: str, kind: str):
    for query in ("", "class=3"):
        address = f"{here}/train.{kind}?{query}"
        whole = client.get(address)
        size = len(whole.content)
        for first, last in ((0, 1), (100, size), (127, 130), (size // 7, size // 2), (size - 70, size), (5, 10**9)):
            part = client.get(address, headers={"Range": f"bytes={first}-{last - 1}"})
            assert part.status_code == 206
            assert part.content == whole.content[first:last]
            assert part.headers["content-range"] == f"bytes {first}-{min(last, size) - 1}/{size}"
            assert part.headers["etag"] == whole.headers["etag"]
        assert client.get(address, headers={"Range": "bytes=-70"}).content == whole.content[-70:]
        assert client.get(address, headers={"Range": "bytes=500-"}).content == whole.content[500:]


def test_what_cannot_be_a_range_is_ignored_and_one_beyond_the_end_refused(client: TestClient, here: str):
    address = f"{here}/train.npy"
    for words in ("bytes=", "bytes=-", "lines=1-2", "bytes=9-3", "bytes=0-1,5-6", "bytes=x-y"):
        assert client.get(address, headers={"Range": words}).status_code == 200
    for words in ("bytes=99999999-", "bytes=-0"):
        answer = client.get(address, headers={"Range": words})
        assert answer.status_code == 416
        assert answer.headers["content-range"].startswith("bytes */")
        assert "bytes" in answer.json()["detail"]
    # Its length is known at its end only.
    parquet = client.get(f"{here}/train.parquet", headers={"Range": "bytes=0-9"})
    assert (parquet.status_code, parquet.headers["accept-ranges"]) == (200, "none")


def test_validators_save_what_is_there_already(client: TestClient, here: str):
    address = f"{here}/train.npy"
    tag = client.get(address).headers["etag"]
    for header in (tag, f'"other", W/{tag}', "*"):
        answer = client.get(address, headers={"If-None-Match": header})
        assert (answer.status_code, answer.content) == (304, b"")
    # Asked for the rest of what has become another file, a client is given all of that.
    for validator, status in ((tag, 206), ('"other"', 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)):
        answer = client.get(address, headers={"Range": "bytes=5-", "If-Range": validator})
        assert answer.status_code == status
    others = [client.get(f"{here}/train.{rest}").headers["etag"] for rest in ("npz", "npy?class=1", "npy?array=y")]
    assert len({tag, *others}) == 4
    # Of equal data, whatever the epoch.
    assert client.get(f"{address}?epoch=1").headers["etag"] == tag


def test_head_tells_the_length_without_the_data(client: TestClient, here: str):
    for kind in ("npy", "npz"):
        head, whole = client.head(f"{here}/train.{kind}"), client.get(f"{here}/train.{kind}")
        assert (head.status_code, head.content) == (200, b"")
        for name in ("content-length", "etag", "accept-ranges", "content-disposition", "content-type"):
            assert head.headers[name] == whole.headers[name]


REFUSED = (
    ("nonsense.npy", 404, "The experiment has no set 'nonsense'; there are classifier, train."),
    ("train.npy?epoch=7", 404, "The set 'train' was not kept of epoch 7; it was of 1, 2."),
    ("train.tar", 404, "There is no format 'tar' of features; there are npy, npz, parquet."),
    ("train.npy?array=Z", 422, "The set 'train' has no array 'Z'; there are H, y."),
    ("classifier.npy", 422, "The set 'classifier' has several arrays; array= names one of W, b."),
    ("classifier.npz?class=1", 422, "The set 'classifier' has no labels y, so class=1 selects nothing in it."),
    ("train.npy?rows=a:b", 422, "rows"),
    ("train.npy?klass=1", 422, "klass"),
)


def test_what_is_not_there_is_a_sentence(client: TestClient, here: str):
    for address, status, said in REFUSED:
        answer = client.get(f"{here}/{address}")
        assert answer.status_code == status
        assert said in answer.json()["detail"]


def test_bytes_that_were_changed_are_never_given(client: TestClient, database: Database, here: str):
    with database.transaction() as session:
        of_first = (FeatureChunk.array == "H", FeatureChunk.first_row == 0)
        chunk = session.scalars(select(FeatureChunk).where(*of_first).order_by(FeatureChunk.set_id)).first()
        assert chunk is not None
        chunk.data = bytes(len(chunk.data))
    answer = client.get(f"{here}/train.npy?epoch=1&rows=0:10")
    # The status was sent before the bytes were read: the connection breaks.
    assert len(answer.content) < int(answer.headers["content-length"])
    assert client.get(f"{here}/train.npy?epoch=2&rows=0:10").status_code == 200
