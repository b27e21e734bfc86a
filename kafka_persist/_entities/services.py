"""What all entities and views of one `Persistence` share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractContextManager, asynccontextmanager

import attrs
import trio

from .._lifecycle import background
from ..abc import Journal, SnapshotStore
from ..errors import StoreClosed
from ..model import SnapshotMetadata
from ..serialization import Serializer
from ..tracing import Tracing, span_of


@attrs.define(eq=False)
class Services:
    """Stores and settings.

    Attributes:
        journal: where events are.
        snapshot_store: where snapshots are.
        serializer: what the stores use, where it is known; None otherwise.
        ignore_orphan: whether a snapshot that is newer than the journal's last event is skipped.
        spawn: starts ``async_fn(*args)`` in the nursery of the `Persistence`; False if that has ended.
        tracing: what is told of spans; None for nobody.
        closed: the block of the `Persistence` has ended.
    """

    journal: Journal
    snapshot_store: SnapshotStore
    serializer: Serializer | None
    ignore_orphan: bool
    spawn: Callable[..., bool]
    tracing: Tracing | None = None
    closed: bool = False

    def span(self, name: str, **attributes: str | int) -> AbstractContextManager[None]:
        """A span around a block, where the program traces."""
        return span_of(self.tracing, name, **attributes)

    async def delete_snapshots(self, snapshots: Iterable[SnapshotMetadata]) -> None:
        """Delete these."""
        await trio.lowlevel.checkpoint()
        for each in snapshots:
            await self.snapshot_store.delete(each)

    def check_open(self) -> None:
        """Raise `StoreClosed` after the end of the block."""
        if self.closed:
            raise StoreClosed("this persistence is closed; use it inside its `async with open_persistence(...)` block")


@asynccontextmanager
async def open_services(
    journal: Journal,
    snapshot_store: SnapshotStore,
    serializer: Serializer | None,
    *,
    ignore_orphan: bool,
    tracing: Tracing | None = None,
) -> AsyncIterator[Services]:
    """Put together what the entities and views of one persistence share."""
    async with background("the persistence") as tasks:
        services = Services(journal, snapshot_store, serializer, ignore_orphan, tasks.spawn, tracing)
        try:
            yield services
        finally:
            services.closed = True
