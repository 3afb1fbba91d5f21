"""Reads a pickle that may hold only NumPy arrays and builtins; anything else is an error and executes nothing."""

import io
import pickle
import pickletools
from collections.abc import Callable
from typing import Any

import numpy as np

from ncmix.errors import NcmixError

# What NumPy's own pickles of arrays and scalars call, under the module names of NumPy 1 and 2.
_ADMITTED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
    *((module, "_reconstruct") for module in ("numpy.core.multiarray", "numpy._core.multiarray")),
    *((module, "scalar") for module in ("numpy.core.multiarray", "numpy._core.multiarray")),
    *((module, "_frombuffer") for module in ("numpy.core.numeric", "numpy._core.numeric")),
}


_PLACES = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})


class UnpicklingError(NcmixError, ValueError):
    """The bytes are not a pickle of plain arrays and builtins; the message says what was met."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if (module, name) not in _ADMITTED:
            raise UnpicklingError(
                f"The pickle wants {module}.{name}; admitted are NumPy arrays and Python's builtin values only."
            )
        return super().find_class(module, name)


def loads(data: bytes) -> Any:
    """The value in a pickle.

    Raises:
        UnpicklingError: the pickle is broken, or holds anything but NumPy arrays and builtins.
    """
    try:
        _survey(data)
        value = _Unpickler(io.BytesIO(data)).load()
    except UnpicklingError:
        raise
    except Exception as error:  # a broken pickle can raise nearly anything, as its documentation says
        raise UnpicklingError(f"This is not a readable pickle: {type(error).__name__}: {error}") from error
    _check(value)
    return value


def _survey(data: bytes) -> None:
    """Read every instruction without following it: lengths must be there, and names of places small.

    A few bytes could otherwise make Python set aside all memory, for text that never comes or for place 2³² of a memo.
    """
    for operation, argument, _ in pickletools.genops(data):
        if operation.name in _PLACES and int(argument or 0) > len(data):
            raise UnpicklingError(f"The pickle wants to keep a value in place {argument}; it has {len(data)} bytes.")


def _check(value: object) -> None:
    """Walks without recursion: a pickle can be nested deeper than Python's stack, or contain itself."""
    waiting, seen = [value], set[int]()
    while waiting:
        item = waiting.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        waiting += _inside(item)


def _inside(value: object) -> list[object]:
    """The values in a container; none in a plain one.

    Raises:
        UnpicklingError: the value is of no admitted type.
    """
    match value:
        case dict():
            return [*value.keys(), *value.values()]
        case list() | tuple() | set() | frozenset():
            return list(value)
        case np.ndarray() if value.dtype.hasobject:
            raise UnpicklingError("The pickle holds an array of Python objects; only numbers and text are admitted.")
        case None | bool() | int() | float() | str() | bytes() | np.generic() | np.ndarray():
            return []
        case _:
            raise UnpicklingError(f"The pickle holds a {type(value).__name__}; admitted are arrays and builtin values.")
