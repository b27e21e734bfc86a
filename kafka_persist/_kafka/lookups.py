"""Questions that only a blocking call answers, asked of a client of their own.

A consumer that is polled on Trio's thread must have no blocking call under way in another one: the client lets one call in
at a time, so ``consume(n, 0)`` would wait behind it, and the event loop with it.

`ask` runs in worker threads whose caller may have left. So a client belongs to one thread at a time; whoever is done with
it puts it back, or closes it where that is no longer possible.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from confluent_kafka import Consumer

from ..driver import Log
from .errors import broker_error, translated

T = TypeVar("T")

SILENT: Final[Mapping[str, Any]] = {"log_level": 0}
"""Nobody polls these clients, so their log would pile up in memory. What goes wrong comes out as an exception."""

_CALLBACKS: Final = frozenset({"error_cb", "logger", "on_commit", "stats_cb", "throttle_cb"})


class Lookups:
    """Lends clients to threads; they are made when they are needed, in the thread that needs one."""

    def __init__(self, properties: Mapping[str, Any]) -> None:
        kept = {name: value for name, value in properties.items() if name not in _CALLBACKS}
        self._properties: dict[str, Any] = {**kept, **SILENT}
        self._lock = threading.Lock()
        self._idle: list[Consumer] = []
        self._closed = False

    def ask(self, question: Callable[[Consumer], T]) -> T:
        """Return ``question(client)``; blocks."""
        with self._lock:
            client = self._idle.pop() if self._idle else None
        if client is None:
            client = Consumer(dict(self._properties))
        try:
            return question(client)
        finally:
            self._put_back(client)

    def _put_back(self, client: Consumer) -> None:
        with self._lock:
            if not self._closed:
                self._idle.append(client)
                return
        client.close()

    def close(self) -> None:
        """Close the clients; one that is in use is closed by its thread. Blocks, idempotent."""
        with self._lock:
            self._closed = True
            clients, self._idle = self._idle, []
        for client in clients:
            client.close()


def partitions_of(client: Consumer, topics: Iterable[str], seconds: float) -> list[Log]:
    """All partitions of the topics; up to `seconds` for each topic.

    Raises:
        PersistenceError: the broker did not answer, or a topic is missing.
    """
    found: list[Log] = []
    for topic in topics:
        with translated(f"looking for topic {topic}"):
            metadata = client.list_topics(topic, timeout=seconds).topics[topic]
        if metadata.error is not None:
            raise broker_error(metadata.error, f"looking for topic {topic}")
        found.extend(Log(topic, partition) for partition in sorted(metadata.partitions))
    return found
