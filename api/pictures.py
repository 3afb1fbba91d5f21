"""Pictures already drawn, by what they show: a second request for the same one draws nothing."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from threading import Lock

LIMIT = 64 * 2**20


class Pictures:
    """The most recently used files, at most LIMIT bytes of them."""

    def __init__(self) -> None:
        self._files: OrderedDict[str, bytes] = OrderedDict()
        self._size = 0
        self._lock = Lock()

    def get(self, tag: str, draw: Callable[[], bytes]) -> bytes:
        """The file of this tag, drawn if it is not there."""
        with self._lock:
            if tag in self._files:
                self._files.move_to_end(tag)
                return self._files[tag]
        # Not under the lock: two requests may draw the same picture, but none waits for another's.
        file = draw()
        with self._lock:
            self._put(tag, file)
        return file

    def _put(self, tag: str, file: bytes) -> None:
        self._size += len(file) - len(self._files.pop(tag, b""))
        self._files[tag] = file
        while self._size > LIMIT:
            _, oldest = self._files.popitem(last=False)
            self._size -= len(oldest)


def entity_tag(*parts: object) -> str:
    """An ETag of everything a picture depends on."""
    return f'"{hashlib.sha256(repr(parts).encode()).hexdigest()[:32]}"'
