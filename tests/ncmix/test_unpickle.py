"""The unpickler that admits arrays and builtins, and executes nothing else."""

import contextlib
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ncmix.unpickle import UnpicklingError, loads


class _Evil:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.target,)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_builtins_come_back(protocol: int) -> None:
    value = {
        "h": np.arange(6, dtype=np.float16).reshape(2, 3),
        "fortran": np.asfortranarray(np.eye(3)),
        "text": np.array(["a", "bc"]),
        "scalar": np.float32(1.5),
        "plain": [1, 2.5, True, None, "x", b"y", (1, 2)],
    }
    back = loads(pickle.dumps(value, protocol))
    assert back["plain"] == value["plain"]
    assert back["scalar"] == 1.5
    for name in ("h", "fortran", "text"):
        np.testing.assert_array_equal(back[name], value[name])
        assert back[name].dtype == value[name].dtype


def test_anything_else_is_refused_and_not_executed(tmp_path: Path) -> None:
    target = tmp_path / "touched"
    with pytest.raises(UnpicklingError, match="admitted are NumPy arrays"):
        loads(pickle.dumps({"run": _Evil(target)}))
    assert not target.exists()


@pytest.mark.parametrize("call", ["os.system", "builtins.eval", "builtins.getattr", "numpy.load", "numpy.f2py.compile"])
def test_a_global_is_refused_by_name(call: str) -> None:
    module, name = call.rsplit(".", 1)
    with pytest.raises(UnpicklingError, match=f"wants {call}"):
        loads(f"c{module}\n{name}\n(S'1'\ntR.".encode())


@pytest.mark.parametrize(
    "greedy",
    [b"Nr\xff\xff\xff\xff.", b"\x8e\xff\xff\xff\xff\x0f\x00\x00\x00.", b"\x96\xff\xff\xff\xff\x0f\x00\x00\x00."],
)
def test_a_few_bytes_set_no_memory_aside(greedy: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(UnpicklingError):
        loads(greedy)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_arrays_of_objects_are_refused() -> None:
    with pytest.raises(UnpicklingError, match="Python objects"):
        loads(pickle.dumps(np.array([{}, None], dtype=object)))


def test_a_pickle_that_contains_itself_ends() -> None:
    value: list[object] = []
    value.append(value)
    assert loads(pickle.dumps(value))[0] is not None


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_noise_is_a_sentence(noise: bytes) -> None:
    with contextlib.suppress(UnpicklingError):  # any other error fails the test
        loads(noise)
