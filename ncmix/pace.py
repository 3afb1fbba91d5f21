"""How much fits into a stretch of time, judged by the stretches before: no clock is read between batches."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """The pace of work that comes in batches; a stretch is at most twice the last one, lest one slow start mislead."""

    def __init__(self) -> None:
        self._last, self._each = 1, math.inf

    def batches(self, seconds: float) -> int:
        """How many batches should take about `seconds`; at least one."""
        return max(1, int(min(2 * self._last, seconds / self._each)))

    @contextmanager
    def measuring(self, batches: int) -> Iterator[None]:
        """Within, that many batches are done."""
        start = time.perf_counter()
        yield
        self._last, self._each = batches, max(time.perf_counter() - start, 1e-9) / batches
