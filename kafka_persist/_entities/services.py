"""What all entities and views of one `Persistence` share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import attrs

from .._lifecycle import background
from ..abc import Journal, SnapshotStore
from ..errors import StoreClosed
from ..serialization import Serializer


@attrs.define(eq=False)
class Services:
    """Stores and settings.

    Attributes:
        journal: where events are.
        snapshot_store: where snapshots are.
        serializer: what the stores use, where it is known; None otherwise.
        ignore_orphan: whether a snapshot that is newer than the journal's last event is passed over.
        spawn: starts ``async_fn(*args)`` in the nursery of the `Persistence`; False if that has ended.
        closed: the block of the `Persistence` has ended.
    """

    journal: Journal
    snapshot_store: SnapshotStore
    serializer: Serializer | None
    ignore_orphan: bool
    spawn: Callable[..., bool]
    closed: bool = False

    def check_open(self) -> None:
        """Raise `StoreClosed` after the end of the block."""
        if self.closed:
            raise StoreClosed("this persistence is closed; use it inside its `async with open_persistence(...)` block")


@asynccontextmanager
async def open_services(
    journal: Journal, snapshot_store: SnapshotStore, serializer: Serializer | None, *, ignore_orphan: bool
) -> AsyncIterator[Services]:
    """Put together what the entities and views of one persistence share."""
    async with background("the persistence") as tasks:
        services = Services(journal, snapshot_store, serializer, ignore_orphan, tasks.spawn)
        try:
            yield services
        finally:
            services.closed = True
