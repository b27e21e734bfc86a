"""A driver that kills its own process at a chosen point of a write."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final

from kafka_persist.driver import Ack, Driver, Log, LogReader, Scan, TopicSpec

POINTS: Final = ("before submit", "behind submit", "before answer", "behind answer")


class CrashingDriver(Driver):
    """Wraps a driver and dies in the nth append.

    Args:
        inner: The driver that does the work.
        point: Where, one of `POINTS`.
        countdown: In which append.
    """

    def __init__(self, inner: Driver, point: str, countdown: int) -> None:
        self._inner = inner
        self._point = point
        self._left = countdown

    def _die_at(self, point: str) -> None:
        if self._left == 0 and point == self._point:
            os.kill(os.getpid(), signal.SIGKILL)

    @property
    def max_record_bytes(self) -> int:
        """See `Driver.max_record_bytes`."""
        return self._inner.max_record_bytes

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: Callable[[Ack], None]) -> None:
        """See `Driver.submit`."""
        self._left = max(0, self._left - 1)

        def answered(ack: Ack) -> None:
            self._die_at("before answer")
            on_ack(ack)
            self._die_at("behind answer")

        self._die_at("before submit")
        self._inner.submit(log, key, value, answered)
        self._die_at("behind submit")

    async def scan(self, log: Log, start: int | None, stop: int | None) -> Scan:
        """See `Driver.scan`."""
        return await self._inner.scan(log, start, stop)

    def open_reader(self, log: Log, start: int) -> AbstractAsyncContextManager[LogReader]:
        """See `Driver.open_reader`."""
        return self._inner.open_reader(log, start)

    async def delete_before(self, log: Log, offset: int) -> None:
        """See `Driver.delete_before`."""
        await self._inner.delete_before(log, offset)

    async def ensure_topics(self, specs: Iterable[TopicSpec]) -> None:
        """See `Driver.ensure_topics`."""
        await self._inner.ensure_topics(specs)

    async def partition_count(self, topic: str) -> int:
        """See `Driver.partition_count`."""
        return await self._inner.partition_count(topic)

    async def topic_names(self) -> Sequence[str]:
        """See `Driver.topic_names`."""
        return await self._inner.topic_names()

    def forget_topics(self, names: Iterable[str]) -> None:
        """See `Driver.forget_topics`."""
        self._inner.forget_topics(names)
