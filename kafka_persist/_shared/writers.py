"""Who may write an id's events in this process, which owns the id's log."""

from __future__ import annotations

from collections import OrderedDict
from uuid import UUID


class Writers:
    """The ids' writers, the one that has claimed or written longest ago first.

    Args:
        limit: how many ids may have one; beyond that the first one loses the id.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._writers: OrderedDict[str, bytes] = OrderedDict()
        self._just_claimed: set[str] = set()

    def __repr__(self) -> str:
        return f"<Writers of {len(self)} ids>"

    def __len__(self) -> int:
        return len(self._writers)

    def get(self, persistence_id: str) -> bytes | None:
        """An id's writer; None if nobody has claimed it."""
        return self._writers.get(persistence_id)

    def set(self, persistence_id: str, writer: bytes) -> None:
        """Let `writer` write an id's events, and nobody else here."""
        self._writers.pop(persistence_id, None)
        self._writers[persistence_id] = writer
        self._just_claimed.add(persistence_id)
        if len(self._writers) > self._limit:
            self._just_claimed.discard(self._writers.popitem(last=False)[0])

    def end(self, persistence_id: str, writer: bytes) -> None:
        """`writer` is finished for the id."""
        if self._writers.get(persistence_id) == writer:
            del self._writers[persistence_id]
            self._just_claimed.discard(persistence_id)

    def clear(self) -> None:
        """Nobody writes here any more."""
        self._writers.clear()
        self._just_claimed.clear()

    def take_just_claimed(self, persistence_id: str) -> bool:
        """Whether nothing has happened to an id since its claim: true once."""
        if persistence_id not in self._just_claimed:
            return False
        self._just_claimed.remove(persistence_id)
        return True

    def has_begun(self, persistence_id: str) -> None:
        """Something is done to an id: it is in use, and others lose theirs first."""
        self._just_claimed.discard(persistence_id)
        if persistence_id in self._writers:
            self._writers.move_to_end(persistence_id)

    def told(self, persistence_id: str) -> str:
        """Who writes an id, for a writer that does not."""
        writer = self.get(persistence_id)
        if writer is None:
            return (
                "nobody has claimed it since this process took the log over, or since a write of it had an unknown outcome, or more "
                f"than {self._limit} ids of the log have had a writer since it wrote last (max-cached-ids, divided by the logs)"
            )
        return f"this process has claimed it for another writer ({UUID(bytes=writer)})"
