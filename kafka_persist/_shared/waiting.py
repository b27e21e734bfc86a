"""What waits for the next record of a shared log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import attrs

from .._core.items import RUN_OVERHEAD, Run, State
from .._core.items import Item as StoredItem
from .._journal.batch import Item
from .unit import Unit


class Moved(NamedTuple):
    """What cleaning appends.

    Attributes:
        item: an item that stands in the part of the log that will be cut off; None: the marker in front of the cut.
        offset: the record that holds it.
    """

    item: StoredItem | None
    offset: int

    @property
    def size(self) -> int:
        """How many bytes it takes up, about."""
        match self.item:
            case Run(persistence_id, _, _, _, entries):
                return RUN_OVERHEAD + len(persistence_id.encode()) + len(entries)
            case State(persistence_id):
                return RUN_OVERHEAD + len(persistence_id.encode())
            case _:
                return RUN_OVERHEAD


@attrs.define(eq=False)
class SharedItem(Item):
    """One atomic write, or one deletion, of one of the log's ids; or what cleaning appends.

    Attributes:
        persistence_id: whose.
        run: what a write stores; None for a deletion.
        delete_to: what a deletion deletes.
        moved: what cleaning appends.
        events: each event of a run, encoded, where some go to a topic.
        stored: what stands in the record that is in flight.
        number: its number among the items of the log, once it was handed over.
        commands: the position in the command topic when this is stored; 0 for no command's.
        unit: the other writes of commands that it belongs to.
    """

    persistence_id: str = ""
    run: Run | None = None
    delete_to: int = 0
    moved: Moved | None = None
    events: Sequence[bytes] = ()
    stored: StoredItem | None = None
    number: int = 0
    commands: int = 0
    unit: Unit | None = None


def is_marker(item: Item) -> bool:
    """Whether it is the marker in front of a cut."""
    return isinstance(item, SharedItem) and item.moved is not None and item.moved.item is None
