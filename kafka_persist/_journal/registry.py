"""The id logs that this process knows, the longest unused first, with a bound."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from .idlog import IdLog


class Registry:
    """Finds or makes the `IdLog` of an id; forgets idle ones beyond the bound.

    Forgetting is safe: an id log is a cache of what stands in the log, and who may write is decided there.
    """

    def __init__(self, make: Callable[[str], IdLog], limit: int) -> None:
        self._make = make
        self._limit = limit
        self._logs: OrderedDict[str, IdLog] = OrderedDict()

    def __len__(self) -> int:
        return len(self._logs)

    def get(self, persistence_id: str) -> IdLog:
        """The id's log; made on first use."""
        found = self._logs.get(persistence_id)
        if found is None:
            found = self._logs[persistence_id] = self._make(persistence_id)
            self._shrink()
        else:
            self._logs.move_to_end(persistence_id)
        return found

    def peek(self, persistence_id: str) -> IdLog | None:
        """The id's log if it is known."""
        return self._logs.get(persistence_id)

    def busy(self) -> list[IdLog]:
        """Those with anything in flight or waiting."""
        return [log for log in self._logs.values() if not log.idle]

    def all(self) -> list[IdLog]:
        """All that are known."""
        return list(self._logs.values())

    def has_topic(self, topic: str) -> bool:
        """Whether one of them is in this topic."""
        return any(log.log.topic == topic for log in self._logs.values())

    def _shrink(self) -> None:
        excess = len(self._logs) - self._limit
        if excess <= 0:
            return
        for name in [name for name, log in list(self._logs.items())[: excess + 16] if log.idle][:excess]:
            del self._logs[name]
