"""The id logs that this process knows, with a bound.

Whoever uses a log takes it and gives it back; one that is in use, or that has something under way, is never forgotten.
Beyond the bound the longest unused ones shrink to what they know (`kept.Kept`): the next use goes on from there and
reads nothing a second time. Of those, too, only so many are kept.

Forgetting everything about an id is safe: its log is read again from the start. Who may write is decided there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from .idlog import IdLog
from .kept import Kept

MIN_KEPT: Final = 10_000
KEPT_FOR_EACH: Final = 4
"""How many ids are remembered by their heads alone, for each one that is remembered completely; a head is small."""

LOOKED_AT: Final = 16
"""Logs that are asked at a time whether they can be forgotten; the others are asked later."""


class Registry:
    """Finds or makes the `IdLog` of an id."""

    def __init__(self, make: Callable[[str], IdLog], limit: int) -> None:
        self._make = make
        self._limit = limit
        self._in_use: dict[str, IdLog] = {}
        self._unused: OrderedDict[str, IdLog] = OrderedDict()
        self._kept: OrderedDict[str, Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._in_use) + len(self._unused)

    def __repr__(self) -> str:
        return f"<Registry of {len(self)} ids, {len(self._in_use)} in use, {len(self._kept)} by their heads>"

    def take(self, persistence_id: str) -> IdLog:
        """The id's log, which stays the same until `give_back`."""
        found = self._in_use.get(persistence_id)
        if found is None:
            unused = persistence_id in self._unused
            found = self._unused.pop(persistence_id) if unused else self._made(persistence_id)
            self._in_use[persistence_id] = found
        found.users += 1
        return found

    def give_back(self, idlog: IdLog) -> None:
        """Say that `idlog` is not used any more by somebody who took it."""
        idlog.users -= 1
        if not idlog.users:
            name = idlog.chain.persistence_id
            self._unused[name] = self._in_use.pop(name)
            self._shrink()

    @contextmanager
    def using(self, persistence_id: str) -> Iterator[IdLog]:
        """Take a log for the block."""
        idlog = self.take(persistence_id)
        try:
            yield idlog
        finally:
            self.give_back(idlog)

    def peek(self, persistence_id: str) -> IdLog | Kept | None:
        """What is known of an id, if anything is."""
        found = self._in_use.get(persistence_id) or self._unused.get(persistence_id)
        return self._kept.get(persistence_id) if found is None else found

    def busy(self) -> list[IdLog]:
        """Those with anything in flight or waiting."""
        return [log for log in self._all() if not log.idle]

    def unsaved(self) -> list[str]:
        """The ids of which more events are published than their log says."""
        return [
            *(log.chain.persistence_id for log in self._all() if log.unsaved),
            *(name for name, kept in self._kept.items() if kept.unsaved),
        ]

    def has_topic(self, topic: str) -> bool:
        """Whether one of them is in this topic."""
        return any(log.log.topic == topic for log in self._all())

    def _all(self) -> Iterator[IdLog]:
        yield from self._in_use.values()
        yield from self._unused.values()

    def _made(self, persistence_id: str) -> IdLog:
        idlog = self._make(persistence_id)
        kept = self._kept.pop(persistence_id, None)
        if kept is not None:
            idlog.restore(kept)
        return idlog

    def _shrink(self) -> None:
        """Forget the longest unused logs beyond the bound, but for those with something under way."""
        for _ in range(LOOKED_AT):
            if len(self) <= self._limit or not self._unused:
                break
            name, idlog = self._unused.popitem(last=False)
            if idlog.forgettable:
                self._kept[name] = idlog.kept()
            else:
                self._unused[name] = idlog  # asked again after the others
        while len(self._kept) > max(MIN_KEPT, KEPT_FOR_EACH * self._limit):
            self._kept.popitem(last=False)
