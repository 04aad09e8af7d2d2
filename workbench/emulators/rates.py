"""How often a caller may ask: the services' request limits, over a sliding window."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable


class Rate:
    """At most `limit` requests in any `seconds` per key; a limit of None never refuses."""

    def __init__(
        self, limit: int | None, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = limit
        self._seconds = seconds
        self._clock = clock
        self._taken: defaultdict[str, deque[float]] = defaultdict(deque)

    def take(self, key: str = "") -> float:
        """Count a request and answer 0.0, or the seconds to wait when it is one too many."""
        taken, now = self._taken[key], self._clock()
        while taken and taken[0] <= now - self._seconds:
            taken.popleft()
        if self._limit is not None and len(taken) >= self._limit:
            return max(taken[0] + self._seconds - now, 0.001)
        taken.append(now)
        return 0.0
