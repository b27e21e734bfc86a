"""What all entities and views of one `Persistence` share."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from ..abc import Journal, SnapshotStore
from ..errors import StoreClosed


@attrs.define(eq=False)
class Services:
    """Stores and settings.

    Attributes:
        journal: where events are.
        snapshot_store: where snapshots are.
        ignore_orphan: whether a snapshot that is newer than the journal's last event is passed over.
        spawn: starts ``async_fn(*args)`` in the nursery of the `Persistence`; False if that has ended.
        closed: the block of the `Persistence` has ended.
    """

    journal: Journal
    snapshot_store: SnapshotStore
    ignore_orphan: bool
    spawn: Callable[..., bool]
    closed: bool = False

    def check_open(self) -> None:
        """Raise `StoreClosed` after the end of the block."""
        if self.closed:
            raise StoreClosed("this persistence is closed; use it inside its `async with open_persistence(...)` block")
