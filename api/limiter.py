"""How often something may be done: counted in Redis for all processes, or in memory while Redis is away."""

import logging
import math
import time
from functools import cache

import redis
from limits import RateLimitItem, parse
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import FixedWindowRateLimiter

from ncmix.jobs.queue import is_redis
from ncmix.jobs.settings import Settings

_LOG = logging.getLogger(__name__)
_AWAY_SECONDS = 10.0
_TIMEOUTS: dict[str, float | bool] = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5, "wrap_exceptions": True}


class Limiter:
    """Counts in fixed windows. Without Redis every process counts for itself: nobody is kept out for that."""

    def __init__(self, settings: Settings) -> None:
        self._memory = FixedWindowRateLimiter(MemoryStorage())
        self._shared = None
        if is_redis(settings):
            self._shared = FixedWindowRateLimiter(storage_from_string(settings.broker_url, **_TIMEOUTS))
        self._away_until = 0.0

    def hit(self, rate: str, *who: str) -> int | None:
        """Count one more; None if it was within the rate, else in how many seconds to come again."""
        item = _item(rate)
        for counter in self._counters():
            try:
                return None if counter.hit(item, *who) else _wait(counter, item, who)
            except (StorageError, redis.RedisError) as error:
                self._leave(error)
        return None

    def spent(self, rate: str, *who: str) -> int | None:
        """Whether one more would be over the rate, without counting: as `hit`."""
        item = _item(rate)
        for counter in self._counters():
            try:
                return None if counter.test(item, *who) else _wait(counter, item, who)
            except (StorageError, redis.RedisError) as error:
                self._leave(error)
        return None

    def _counters(self) -> list[FixedWindowRateLimiter]:
        if self._shared is None or time.monotonic() < self._away_until:
            return [self._memory]
        return [self._shared, self._memory]

    def _leave(self, error: Exception) -> None:
        _LOG.warning("Rates are counted by this process alone for a while: Redis does not answer (%s)", type(error))
        self._away_until = time.monotonic() + _AWAY_SECONDS


@cache
def _item(rate: str) -> RateLimitItem:
    return parse(rate)


def _wait(counter: FixedWindowRateLimiter, item: RateLimitItem, who: tuple[str, ...]) -> int:
    return max(1, math.ceil(counter.get_window_stats(item, *who).reset_time - time.time()))
