"""An id's writes that are under way: who takes the id over waits for them."""

from __future__ import annotations

from typing import Protocol

import attrs
import trio


class Waiting(Protocol):
    """A write or a deletion; `last` is its highest number, 0 if it stores nothing."""

    last: int
    withdrawn: bool


@attrs.define(eq=False)
class Pending:
    """What is queued or in flight for one id.

    Attributes:
        items: writes and deletions. Those that were withdrawn stay until the log comes across them, and use no number.
        none_left: set when all are decided; None while nobody waits for that.
    """

    items: list[Waiting]
    none_left: trio.Event | None = None


class PendingIds:
    """The ids that have something under way; an id without is not remembered."""

    def __init__(self) -> None:
        self._ids: dict[str, Pending] = {}

    def __repr__(self) -> str:
        return f"<PendingIds {len(self._ids)}>"

    def add(self, persistence_id: str, item: Waiting) -> None:
        """One more."""
        found = self._ids.get(persistence_id)
        if found is None:
            self._ids[persistence_id] = Pending([item])
        else:
            found.items.append(item)

    def done(self, persistence_id: str, item: Waiting) -> None:
        """One of them is decided."""
        found = self._ids[persistence_id]
        found.items.remove(item)
        if not found.items:
            del self._ids[persistence_id]
            if found.none_left is not None:
                found.none_left.set()

    def has_any(self, persistence_id: str) -> bool:
        """Whether anything is under way."""
        found = self._ids.get(persistence_id)
        return found is not None and not all(item.withdrawn for item in found.items)

    def last(self, persistence_id: str) -> int:
        """The highest number under way; 0 for none."""
        found = self._ids.get(persistence_id)
        return 0 if found is None else max((item.last for item in found.items if not item.withdrawn), default=0)

    async def wait_none(self, persistence_id: str) -> None:
        """Wait until nothing that was asked for before is under way."""
        if (found := self._ids.get(persistence_id)) is not None:
            if found.none_left is None:
                found.none_left = trio.Event()
            await found.none_left.wait()
