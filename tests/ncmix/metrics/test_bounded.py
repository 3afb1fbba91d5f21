"""Features of ImageNet's shape, streamed: the memory of a measurement is bounded, however many there are.

`make bench-metrics` does the same with all 1.28 million of them.
"""

import subprocess
import sys

import pytest

# K = 1,000 classes, D = 2,048; the whole table with the effective rank, in a process of its own.
_MEASURE = """
import sys, torch
from benchmarks.machine import growth
from benchmarks.metrics.cases import Case, Features
from ncmix import metrics, stats
from ncmix.stats import Extras
torch.set_num_threads(1)
features = Features(Case(int(sys.argv[1]), 2_048, 1_000))
def work():
    table = metrics.tabulate("train", stats.statistics(features, features.w_KD, extras=Extras(temperature=False)))
    assert all(m.value is not None for m in table if m.name in ("nc1", "nc2_angle_means", "nc3", "effective_rank"))
print(growth(work))
"""


def peak(samples: int) -> int:
    """Bytes by which a process grows at its peak while it measures so many features."""
    ended = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(samples)], capture_output=True, text=True, check=False, timeout=250
    )
    assert ended.returncode == 0, ended.stderr
    return int(ended.stdout)


@pytest.mark.long
@pytest.mark.timeout(300)
def test_the_memory_of_a_measurement_does_not_grow_with_the_number_of_features() -> None:
    few, many = peak(8_000), peak(40_000)
    assert many < 2 * 10**9
    # The other 32,000 features are 260 MB; how much of what was freed a process still has differs by some 70 MB.
    assert abs(many - few) < 150 * 10**6
