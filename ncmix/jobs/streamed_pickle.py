"""A pickle of arrays that are read while it is sent: it loads as any other, but is never whole in memory."""

import io
import pickle
import pickletools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

# What NumPy's own pickles call to make an array of bytes.
_MAKE = np.empty(0).__reduce_ex__(5)[0]


@dataclass
class Later:
    """Stands for an array: its bytes come when the place for them has been reached."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    content: Iterator[bytes | memoryview]

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        # A buffer of its own stands where the bytes belong, in a stream that says only: the next buffer.
        return _MAKE, (pickle.PickleBuffer(bytearray()), self.dtype, self.shape, "C")

    @property
    def size(self) -> int:
        """Bytes of the array."""
        return self.dtype.itemsize * int(np.prod(self.shape, dtype=np.int64))


def pickled(value: Any) -> Iterator[bytes | memoryview]:
    """The pickle of plain values with some `Later` among them."""
    arrays = list(_within(value))
    text = io.BytesIO()
    pickle.Pickler(text, protocol=5, buffer_callback=lambda _: None).dump(value)
    data, waiting = text.getvalue(), iter(arrays)
    operations = [(code.name, at) for code, _, at in pickletools.genops(data)]
    ends = [at for _, at in operations[1:]] + [len(data)]
    for (name, at), end in zip(operations, ends, strict=True):
        match name:
            case "FRAME":
                pass  # They say how long what follows is, which is no longer true, and may be left out.
            case "NEXT_BUFFER":
                array = next(waiting)
                yield pickle.BYTEARRAY8 + array.size.to_bytes(8, "little")
                yield from array.content
            case _:
                yield data[at:end]


def _within(value: Any) -> Iterator[Later]:
    """Those in dictionaries and lists, in the order in which they are pickled."""
    match value:
        case Later():
            yield value
        case dict():
            for item in value.values():
                yield from _within(item)
        case list():
            for item in value:
                yield from _within(item)
        case _:
            pass
