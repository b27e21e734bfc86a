"""What a command with an idempotency key returned when it took effect: read back from its events."""

from __future__ import annotations

from typing import Any

from ..abc import Journal
from ..errors import AlreadyExecuted, printable
from .fold import Fold
from .keys import Done, reply_in


async def read_back(journal: Journal, fold: Fold[Any], key: str, done: Done) -> Any:
    """Return the reply of a command, or its events if it gave none.

    Raises:
        AlreadyExecuted: the events were deleted.
        StoredDataError, BrokerError: see `Journal.replay`.
    """
    persistence_id = fold.persistence_id
    async with journal.replay(persistence_id, from_sequence_nr=done.first, to_sequence_nr=done.last) as stored:
        events = [event async for event in stored]
    if len(events) != done.last - done.first + 1:
        raise AlreadyExecuted(
            f"{printable(persistence_id)}: the command with the key {printable(key)} took effect as events {done.first} to "
            f"{done.last}, which were deleted since; what it returned is gone with them"
        ).about(persistence_id)
    found = reply_in(events[0].metadata)
    if found is not None:
        return found[0]
    return tuple(each for event in events for each in fold.events_of(event.payload, event.sequence_nr))
