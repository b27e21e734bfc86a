"""How long things take: a histogram with a fixed number of buckets."""

from __future__ import annotations

import math
from typing import Final

import attrs

_SHORTEST: Final = 1e-6
_PER_DOUBLING: Final = 4
_BUCKETS: Final = 27 * _PER_DOUBLING  # up to a microsecond times 2**27: two minutes


@attrs.frozen(kw_only=True)
class Latency:
    """How long something took, in seconds.

    Attributes:
        count: how often it was measured.
        mean: 0.0 if never, like all the others.
        p50: half of them took at most this long, to within a fifth.
        p99: 99 of 100 took at most this long, to within a fifth.
        longest: the longest one.
    """

    count: int = 0
    mean: float = 0.0
    p50: float = 0.0
    p99: float = 0.0
    longest: float = 0.0


class Histogram:
    """Counts durations in buckets, four for each doubling."""

    __slots__ = ("_buckets", "_count", "_longest", "_sum")

    def __init__(self) -> None:
        self._buckets = [0] * (_BUCKETS + 1)
        self._count = 0
        self._sum = self._longest = 0.0

    def add(self, seconds: float) -> None:
        """Count one."""
        place = math.ceil(_PER_DOUBLING * math.log2(max(seconds, _SHORTEST) / _SHORTEST))
        self._buckets[min(place, _BUCKETS)] += 1
        self._count += 1
        self._sum += seconds
        self._longest = max(self._longest, seconds)

    def latency(self) -> Latency:
        """Sum up."""
        if not self._count:
            return Latency()
        return Latency(
            count=self._count,
            mean=self._sum / self._count,
            p50=self._quantile(0.5),
            p99=self._quantile(0.99),
            longest=self._longest,
        )

    def _quantile(self, share: float) -> float:
        wanted, seen = share * self._count, 0
        for place, count in enumerate(self._buckets):
            seen += count
            if seen >= wanted:
                upper: float = _SHORTEST * 2 ** (place / _PER_DOUBLING)
                return min(upper, self._longest)
        return self._longest
