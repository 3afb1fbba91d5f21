"""Class statistics: `stats.statistics(chunks, weights)` walks features of any size twice and keeps only sums."""

import os
import subprocess
import sys
import warnings
from collections import Counter

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ncmix import metrics, stats


def cloud(samples=500, dimension=24, classes=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    y = torch.randint(0, classes, (samples,), generator=g)
    h = torch.randn(classes, dimension, generator=g)[y] + torch.randn(samples, dimension, generator=g)
    return h, y, torch.randn(classes, dimension, generator=g)


class Streamed:
    """Features that are made when they are asked for, and never all in memory."""

    def __init__(self, chunks):
        self.chunks, self.walks = chunks, 0

    def __iter__(self):
        self.walks += 1
        for seed in range(self.chunks):
            yield cloud(seed=seed)[:2]


GROWTH = """
import sys

from benchmarks.machine import growth
from benchmarks.metrics.cases import Case, Features
from ncmix import metrics, stats

for samples in (20_000, 20_000, 200_000):  # the first warms up
    features, extras = Features(Case(samples, 256, 10), rows=2_000), stats.Extras(temperature=False)
    print(growth(lambda: metrics.tabulate("train", stats.statistics(features, features.w_KD, extras=extras))))
"""


class Watched(TorchDispatchMode):
    """Counts the operations that make the host wait, and notes the shapes of all results."""

    def __init__(self):
        super().__init__()
        self.waits, self.shapes = Counter(), set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        if func.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.nonzero):
            self.waits[str(func)] += 1
        self.shapes |= {
            tuple(t.shape) for t in (found if isinstance(found, tuple | list) else [found]) if hasattr(t, "shape")
        }
        return found


def test_features_that_come_in_chunks_give_what_the_whole_gives():
    source = Streamed(7)
    h, y = (torch.cat(parts) for parts in zip(*source, strict=True))
    w = cloud()[2]
    whole = metrics.tabulate("test", stats.statistics([(h, y)], w))
    streamed = metrics.tabulate("test", stats.statistics(source, w))
    assert source.walks == 1 + 3
    values = [{m.name: m.value for m in found if m.value is not None} for found in (whole, streamed)]
    assert values[1] == pytest.approx(values[0], rel=1e-7)
    stats.statistics(source, w, extras=stats.Extras(spectrum=False))
    assert source.walks == 1 + 3 + 2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ten_times_the_features_take_no_more_memory():
    """Five bytes a sample are kept, to sort confidences; features of 256 dimensions take a thousand."""
    # glibc gives back what is freed, so that a peak is what is in use, and not what happens to be kept as well.
    giving = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    command = [sys.executable, "-c", GROWTH]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=giving).stdout
    _, small, large = map(int, printed.split())
    assert small < 60e6
    assert large - small < 180_000 * 1024 / 20


def test_what_can_be_walked_only_once_is_refused():
    h, y, w = cloud()
    with pytest.raises(stats.StatisticsError, match="walked only once"):
        stats.statistics(iter([(h, y)]), w)


def test_class_means_are_exact_where_float32_sums_are_not():
    """10⁷ + ½ has no room for the sum of many in float32."""
    h = torch.full((3000, 3), 1e7) + torch.tensor([0.0, 1.0, 2.0])
    means = stats.class_means([(h, torch.arange(3000) % 2)], 2)
    assert means.count_K.tolist() == [1500, 1500]
    assert (means.mean_KD == torch.tensor([1e7, 1e7 + 1, 1e7 + 2], dtype=torch.float64)).all()


def test_the_global_mean_weights_classes_not_samples():
    h = torch.tensor([[0.0], [0.0], [0.0], [4.0]])
    means = stats.class_means([(h, torch.tensor([0, 0, 0, 1]))], 2)
    assert means.centre.tolist() == [2.0]


def test_an_absent_class_has_no_mean_and_an_empty_chunk_does_no_harm():
    h, y, _ = cloud()
    means = stats.class_means([(h[:0], y[:0]), (h, y), (h[:0], y[:0])], 6)
    assert torch.isnan(means.mean_KD[5]).all()
    with pytest.raises(stats.UndefinedError, match="class 5 has no sample"):
        _ = means.centre


@pytest.mark.parametrize("decades", [1, 5, 9])
def test_the_spectrum_is_that_of_the_centred_class_means(decades):
    """The Gram matrix alone would lose half of the digits of the small singular values."""
    g = torch.Generator().manual_seed(3)
    u, _, vh = torch.linalg.svd(torch.randn(8, 30, generator=g).double(), full_matrices=False)
    means = stats.ClassMeans(torch.ones(8).long(), (u * torch.logspace(0, -decades, 8).double()) @ vh, torch.float64)
    spectrum = means.spectrum
    expected = np.linalg.svd(means.centred.numpy(), compute_uv=False)[:7]
    assert spectrum.s_R.tolist() == pytest.approx(expected, rel=1e-6)
    assert not spectrum.deficient
    v_RD = spectrum.u_KR.T @ means.centred / spectrum.s_R[:, None]
    torch.testing.assert_close(v_RD @ v_RD.T, torch.eye(7).double(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("spectrum", [False, True])
def test_nothing_waits_for_the_device_between_chunks_and_only_the_spectrum_takes_a_covariance(spectrum):
    h, y, w = cloud(samples=640, dimension=200)
    waits, extras = [], stats.Extras(spectrum=spectrum)
    for rows in (640, 10):
        chunks = list(zip(h.split(rows), y.split(rows), strict=True))
        with Watched() as watched:
            metrics.tabulate("test", stats.statistics(chunks, w, reference_KD=torch.ones_like(w), extras=extras))
        waits.append(watched.waits)
        assert ((200, 200) in watched.shapes) == spectrum
    assert waits[0] == waits[1]


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_host_waits_as_often_for_one_chunk_as_for_many():
    h, y, w = (t.cuda() for t in cloud(samples=6400, dimension=200))
    waits = []
    for rows in (6400, 100):
        chunks = list(zip(h.split(rows), y.split(rows), strict=True))
        torch.cuda.set_sync_debug_mode("warn")
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                stats.statistics(chunks, w)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        waits.append(len(caught))
    assert waits[0] == waits[1]
