"""Idempotency keys: which commands of an entity have taken effect, as far back as is remembered.

The truth is in the journal: a command's first event carries its key in the metadata. What is remembered here follows from
the events, like the state, and stands in the entity's snapshots beside the state, for the events that were deleted.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

import attrs

from ..errors import UsageError, printable
from ..tagging import IDEMPOTENCY

MAX_KEY_LENGTH: Final = 200
"""Characters of the longest key: all that are remembered stand in every snapshot."""

MAX_REMEMBERED: Final = 10_000
"""Keys that an entity can remember at most."""


@attrs.frozen
class Done:
    """The events by which a command took effect: their numbers."""

    first: int
    last: int


def check_key(key: str) -> str:
    """Return the key if it is one.

    Raises:
        UsageError: not text, empty, or longer than 200 characters.
    """
    if type(key) is not str or not 0 < len(key) <= MAX_KEY_LENGTH:
        raise UsageError(f"an idempotency key is a text of 1 to {MAX_KEY_LENGTH} characters, not {key!r:.80}")
    return key


def mark(key: str, events: int, reply: Any) -> dict[str, Any]:
    """What stands in the metadata of a command's first event."""
    return {"key": key, "events": events} | ({} if reply is None else {"reply": reply})


def reply_in(metadata: Any) -> Any:
    """The reply in the metadata of a command's first event; None if the command gave none."""
    return metadata[IDEMPOTENCY].get("reply")


class RecentKeys:
    """The newest keys, oldest first, at most `limit`."""

    __slots__ = ("_done", "limit")

    def __init__(self, limit: int) -> None:
        self.limit: int = limit
        self._done: OrderedDict[str, Done] = OrderedDict()

    def __len__(self) -> int:
        return len(self._done)

    def find(self, key: str, persistence_id: str) -> Done | None:
        """Where the command with this key took effect; None if it did not, or that is forgotten.

        Raises:
            UsageError: none are remembered.
        """
        if not self.limit:
            raise UsageError(
                f"{printable(persistence_id)} remembers no idempotency keys: open it with remember_keys=100, say"
            )
        return self._done.get(key)

    def note(self, sequence_nr: int, metadata: Any) -> None:
        """Take in what stands in an event's metadata."""
        found = metadata.get(IDEMPOTENCY) if type(metadata) is dict else None
        if found is None or not self.limit:
            return
        self._done[found["key"]] = Done(sequence_nr, sequence_nr + found["events"] - 1)
        while len(self._done) > self.limit:
            self._done.popitem(last=False)

    def clear(self) -> None:
        """Forget all."""
        self._done.clear()

    def to_plain(self) -> list[list[Any]]:
        """All keys, for a snapshot."""
        return [[key, done.first, done.last] for key, done in self._done.items()]

    def restore(self, plain: Any) -> None:
        """Take over what a snapshot has; an older program's snapshot has nothing."""
        self._done = OrderedDict((key, Done(first, last)) for key, first, last in (plain or ())[-self.limit :])


def check_remembered(count: int) -> int:
    """Return `count` if an entity can remember so many keys.

    Raises:
        UsageError: it cannot.
    """
    if type(count) is not int or not 0 <= count <= MAX_REMEMBERED:
        raise UsageError(f"remember_keys must be a whole number from 0 to {MAX_REMEMBERED}, not {count!r}")
    return count


def notes_of(metadata: Any) -> Mapping[str, Any]:
    """An entity's own notes in the metadata of one of its snapshots."""
    return metadata if isinstance(metadata, Mapping) else {}
