"""The producers of a store: records spread over them by topic, and fresh clients instead of full ones.

librdkafka keeps some 11 KB for each topic that a producer was ever given, and ``produce`` walks a list of them: 22 us of
Trio's thread with 100 topics, 230 us with 3,000 (measured). A service makes new ids all the time, so a producer that has
seen `MAX_TOPICS` is replaced by a fresh one, and closed when its last record has its answer. A topic's records stay with
the client that has some of them in flight: they must not overtake each other.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Awaitable, Callable
from typing import Final

from .._lifecycle import Background
from ..driver import Log
from ..errors import PersistenceError
from .producer import Bridge, OnAck

_log = logging.getLogger("kafka_persist.producer")

MAX_TOPICS: Final = 500
"""Topics that one client is given; about 45 us for each record then, and 5 MB."""


class Producers:
    """A store's bridges.

    Args:
        make: makes a bridge; it may wait.
        tasks: runs their pumps.
        close_seconds: how long a replaced bridge may wait for its last answers.
    """

    def __init__(self, make: Callable[[], Awaitable[Bridge]], tasks: Background, *, close_seconds: float) -> None:
        self._make = make
        self._tasks = tasks
        self._close_seconds = close_seconds
        self._bridges: list[Bridge] = []
        self._retired: list[Bridge] = []
        self._replacing: set[int] = set()
        self._generation = 0

    def __repr__(self) -> str:
        return f"<Producers {self._bridges}, {len(self._retired)} retired>"

    @property
    def all(self) -> list[Bridge]:
        """Every bridge that is not closed."""
        return [*self._bridges, *self._retired]

    def use(self, bridges: list[Bridge]) -> None:
        """Send with these from here on; what older ones have not sent goes along."""
        older, self._bridges, self._retired = self.all, bridges, []
        self._generation += 1
        for bridge in bridges:
            self._tasks.spawn(
                bridge.run
            )  # not start(): cancelled, that would wait for the pump, which waits for close()
        for place, bridge in enumerate(older):
            bridge.hand_over(bridges[place % len(bridges)])
            self._tasks.spawn(bridge.close, 0)

    def submit(self, log: Log, key: bytes, value: bytes | None, on_ack: OnAck) -> None:
        """See `Driver.submit`."""
        self._bridge_for(log.topic).submit(log, key, value, on_ack)

    def _bridge_for(self, topic: str) -> Bridge:
        for bridge in self._retired:
            if bridge.is_busy_with(topic):
                return bridge
        place = 0 if len(self._bridges) == 1 else zlib.crc32(topic.encode()) % len(self._bridges)
        bridge = self._bridges[place]
        if len(bridge.topics) >= MAX_TOPICS and topic not in bridge.topics and place not in self._replacing:
            self._replacing.add(place)
            self._tasks.spawn(self._replace, place)
        return bridge

    async def _replace(self, place: int) -> None:
        """Put a fresh bridge in the place of a full one."""
        generation = self._generation
        try:
            fresh = await self._make()
        except PersistenceError as error:
            _log.warning(
                "a producer that has seen %d topics is kept in use: %s",
                MAX_TOPICS,
                error,
                extra={"event": "producer.kept"},
            )
            return
        finally:
            self._replacing.discard(place)
        if generation != self._generation:  # the brokers moved meanwhile: all of them are fresh
            await fresh.close(0)
            return
        full, self._bridges[place] = self._bridges[place], fresh
        self._retired.append(full)
        self._tasks.spawn(fresh.run)
        await full.close_when_idle(self._close_seconds)
        if full in self._retired:
            self._retired.remove(full)
