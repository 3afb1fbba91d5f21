"""Array sets come back as they went in, in chunks of whole rows, and are seen only when complete."""

import hashlib

import numpy as np
import pytest
from sqlalchemy import select

from ncmix.jobs import chunks, features, queries, recording
from ncmix.jobs.database import Database
from ncmix.jobs.settings import Settings
from ncmix.jobs.states import Lease, LeaseLostError
from ncmix.jobs.tables import FeatureChunk
from ncmix.results import ArraySet, Probe
from tests.jobs.helpers import claim, submit
from tests.snapshots import probe, snapshot
from tests.toys import toy


@pytest.fixture
def lease(database: Database, settings: Settings) -> Lease:
    """The lease on a running experiment."""
    submit(database, toy())
    return claim(database, settings).lease


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float16).reshape(4, 3),
        np.asfortranarray(np.arange(12, dtype=np.float64).reshape(4, 3)),
        np.arange(4, dtype=">i8"),
        np.array([True, False, True, True]),
        np.array(["a", "ß", "", "long"]),
        np.zeros((0, 5), np.float32),
        np.arange(24, dtype=np.int32).reshape(4, 3, 2)[:, ::2],
    ],
    ids=["float16", "columns first", "big endian", "bool", "text", "no rows", "strided"],
)
def test_an_array_comes_back_as_it_went_in(database: Database, lease: Lease, array: np.ndarray) -> None:
    recording.record(database, lease, snapshot(1, (ArraySet("train", {"H": array}, {"epoch": 1}),)))
    with database.reading() as session:
        back = queries.array_set(session, lease.experiment_id, 1, "train")
    assert back is not None
    assert back.facts == {"epoch": 1}
    assert back.arrays["H"].dtype == array.dtype.newbyteorder("<")
    np.testing.assert_array_equal(back.arrays["H"], array)


def test_a_large_array_is_cut_into_chunks_of_whole_rows(database: Database, lease: Lease) -> None:
    rows = chunks.CHUNK_BYTES // (1000 * 4)
    array = np.random.default_rng(0).standard_normal((2 * rows + 1, 1000), np.float32)
    recording.record(database, lease, snapshot(1, (ArraySet("train", {"H": array, "y": np.arange(len(array))}),)))
    with database.reading() as session:
        kept = queries.feature_sets(session, lease.experiment_id)[0]
        sizes = [c.rows for c in session.scalars(select(FeatureChunk).where(FeatureChunk.array == "H"))]
        back = features.read(session, kept)
    assert (sizes, kept.rows, kept.size) == ([rows, rows, 1], len(array), array.nbytes + 8 * len(array))
    assert kept.columns["H"]["sha256"] == hashlib.sha256(array.tobytes()).hexdigest()
    np.testing.assert_array_equal(back.arrays["H"], array)


def test_a_set_is_not_seen_before_its_epoch_is_recorded(database: Database, lease: Lease) -> None:
    arrays = ArraySet("train", {"H": np.ones((2, 2))})
    features.stage(database, lease, 1, arrays)
    with database.reading() as session:
        assert queries.feature_sets(session, lease.experiment_id) == []
        assert queries.array_set(session, lease.experiment_id, 1, "train") is None
    # What an interrupted try left is replaced.
    recording.record(database, lease, snapshot(1, (arrays,)))
    with database.reading() as session:
        assert len(queries.feature_sets(session, lease.experiment_id)) == 1
        assert len(session.scalars(select(FeatureChunk)).all()) == 1


def test_nothing_is_staged_without_the_lease(database: Database, lease: Lease) -> None:
    with pytest.raises(LeaseLostError):
        features.stage(database, Lease(lease.experiment_id, 7), 1, ArraySet("train", {"H": np.ones((2, 2))}))
    with database.reading() as session:
        assert session.scalars(select(FeatureChunk)).all() == []


def test_python_objects_are_refused(database: Database, lease: Lease) -> None:
    with pytest.raises(ValueError, match="The array 'names' has dtype object; allowed are"):
        features.stage(database, lease, 1, ArraySet("train", {"names": np.array([{}], object)}))


def test_a_run_is_read_back_for_plots(database: Database, lease: Lease) -> None:
    recording.record(database, lease, snapshot(1))
    recording.record(database, lease, snapshot(3, (probe().to_set(),)))
    with database.reading() as session:
        run = queries.run_of(session, lease.experiment_id)
    assert run.title == toy().title
    assert run.last("accuracy", "test") == 0.03
    assert run.curve("nc1", "train")[0].tolist() == [1, 3]
    assert list(run.probes) == [3]
    _same(run.probes[3], probe())


def _same(one: Probe, other: Probe) -> None:
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.classifier, other.classifier)
    assert (one.class_names, one.mode) == (other.class_names, other.mode)
