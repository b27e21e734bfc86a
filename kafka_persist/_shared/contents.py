"""What stands in a record of a shared log that counts, and its way into an index."""

from __future__ import annotations

from collections.abc import Sequence

from .._core.envelope import Envelope, Kind
from .._core.index import Index
from .._core.items import Item, State, decode_items, decode_states
from .._journal.reading import Counted
from ..driver import Log


def items_of(counted: Counted, log: Log) -> Sequence[Item]:
    """The items of a record; none of a claim.

    Raises:
        CorruptRecord: they are malformed.
    """
    where = f"{log}@{counted.offset}"
    if counted.first:
        return decode_items(counted.value, counted.start, counted.last - counted.first + 1, where)
    return () if counted.envelope is None else states_in(counted.envelope, where)


def states_in(envelope: Envelope, where: str) -> Sequence[State]:
    """What a delete record says of ids; nothing for other records.

    Raises:
        CorruptRecord: it is malformed.
    """
    if envelope.kind is not Kind.DELETE or not envelope.entries:
        return ()
    return decode_states(envelope.entries, 0, where)


def take_into(index: Index, counted: Counted, log: Log) -> None:
    """Have an index take a record that counts into account.

    Raises:
        StoredDataError: its items are malformed, or contradict what came before.
    """
    if counted.envelope is not None and counted.envelope.prev_offset > index.offset:
        index.begin_at_cut()
    where = f"{log}@{counted.offset}"
    index.take(counted.offset, items_of(counted, log), where, len(counted.value) - counted.start)
