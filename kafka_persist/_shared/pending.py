"""An id's writes that are under way: who takes the id over waits for them."""

from __future__ import annotations

import attrs
import trio


@attrs.define(eq=False)
class Pending:
    """What is queued or in flight for one id.

    Attributes:
        count: writes and deletions.
        last: the highest sequence number among them; 0 if there is none.
        none_left: set when all are decided.
    """

    count: int = 0
    last: int = 0
    none_left: trio.Event = attrs.field(factory=trio.Event)


class PendingIds:
    """The ids that have something under way; an id without is not remembered."""

    def __init__(self) -> None:
        self._ids: dict[str, Pending] = {}

    def __repr__(self) -> str:
        return f"<PendingIds {len(self._ids)}>"

    def add(self, persistence_id: str, last: int) -> None:
        """One more; `last` is its highest number, 0 if it stores nothing."""
        found = self._ids.get(persistence_id)
        if found is None:
            found = self._ids[persistence_id] = Pending()
        found.count += 1
        found.last = max(found.last, last)

    def done(self, persistence_id: str) -> None:
        """One of them is decided."""
        found = self._ids[persistence_id]
        found.count -= 1
        if not found.count:
            del self._ids[persistence_id]
            found.none_left.set()

    def last(self, persistence_id: str) -> int:
        """The highest number under way; 0 for none."""
        found = self._ids.get(persistence_id)
        return 0 if found is None else found.last

    async def wait_none(self, persistence_id: str) -> None:
        """Wait until nothing that was asked for before is under way."""
        found = self._ids.get(persistence_id)
        if found is None:
            await trio.lowlevel.checkpoint_if_cancelled()
        else:
            await found.none_left.wait()
