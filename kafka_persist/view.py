"""A view: a state of its own, made of the events of somebody else."""

from __future__ import annotations

from typing import Generic, TypeVar

import trio

from ._entities.fold import Fold
from ._entities.recovery import VIEW_OF, Recovered, Recovery
from ._entities.retention import Retention
from ._entities.services import Services
from ._entities.snapshots import Snapshots
from .errors import JournalTruncated, StoreClosed, printable
from .model import SelectedSnapshot, SelectionCriteria, SnapshotMetadata

S = TypeVar("S")


class View(Generic[S]):
    """An open view; made by `Persistence.view`.

    A view reads and never writes events, so any number of them may follow an entity, in any process. It lags behind the
    entity by as much as it has not been told to read: `update` reads what is new, `wait_for` and `follow` do so again
    and again, every `poll_every` seconds.
    """

    __slots__ = ("_bookmark", "_closed", "_fold", "_lock", "_poll_every", "_services", "_snapshots", "_view_id")

    def __init__(
        self,
        services: Services,
        fold: Fold[S],
        view_id: str,
        recovered: Recovered,
        bookmark: bytes | None,
        retention: Retention,
        poll_every: float,
    ) -> None:
        self._services = services
        self._fold = fold
        self._view_id = view_id
        self._bookmark = bookmark
        self._poll_every = poll_every
        self._snapshots = Snapshots(
            services,
            view_id,
            retention=retention,
            newest=recovered.snapshot,
            owner={VIEW_OF: fold.persistence_id},
        )
        self._lock = trio.Lock()
        self._closed = False

    def __repr__(self) -> str:
        life = "closed" if self._closed else "open"
        return (
            f"<View {printable(self.view_id, 40)} of {printable(self.persistence_id, 40)} {life} at "
            f"{self.sequence_nr}: {self.state!r:.200}>"
        )

    @property
    def persistence_id(self) -> str:
        """Whose events it follows."""
        return self._fold.persistence_id

    @property
    def view_id(self) -> str:
        """Under which id its snapshots are."""
        return self._view_id

    @property
    def state(self) -> S:
        """The state after event `sequence_nr`. Treat it as read-only: `evolve` makes new ones."""
        return self._fold.state

    @property
    def sequence_nr(self) -> int:
        """Up to where the events have been read; 0 before the first one."""
        return self._fold.sequence_nr

    @property
    def snapshot_sequence_nr(self) -> int | None:
        """Number of the newest snapshot that this view loaded or saved; None for none."""
        return self._snapshots.saved_nr

    @property
    def last_snapshot_error(self) -> Exception | None:
        """Why the last automatic snapshot was not saved; None if it was."""
        return self._snapshots.last_error

    # --- reading -------------------------------------------------------------------------------------------------

    async def update(self) -> int:
        """Read the events that are new since the last time; return how many there were.

        Raises:
            EventsDeleted: events were deleted before the view saw them (unless it was opened with ``skip_deleted``).
            EvolveFailed: `evolve` refuses an event; the state is that before it.
            JournalTruncated: the journal ends before what this view has read.
            StoredDataError, BrokerError: see `Journal.replay`.
            StoreClosed: the view's block has ended.

        Cancellation: keeps what was read so far; the next call goes on there.
        """
        self._check_open()
        async with self._lock:
            self._check_open()
            taken = await self._read()
            if taken and self._snapshots.is_due(self.sequence_nr):
                self._snapshots.start(self._describe_snapshot(), self.state)
        return taken

    async def _read(self) -> int:
        journal = self._services.journal
        highest = await journal.highest_sequence_nr(self.persistence_id)
        bookmark = journal.bookmark(self.persistence_id)
        if highest < self.sequence_nr:
            raise JournalTruncated(
                f"the events of {printable(self.persistence_id)} end at {highest}, but the view "
                f"{printable(self.view_id)} has read up to {self.sequence_nr}: the journal lost events. Open the view "
                "again to rebuild it"
            )
        taken = await self._fold.read(journal, highest, lambda: self._newer_snapshot(highest))
        self._bookmark = bookmark
        return taken

    async def _newer_snapshot(self, highest: int) -> SelectedSnapshot | None:
        """Load the view's newest snapshot; its successor in another process may have saved one meanwhile."""
        store = self._services.snapshot_store
        found = await store.load(self.view_id, SelectionCriteria(max_sequence_nr=highest))
        if found is not None:
            self._snapshots.saved_nr = max(self._snapshots.saved_nr or 0, found.metadata.sequence_nr)
        return found

    async def wait_for(self, sequence_nr: int) -> S:
        """Read until the state holds event `sequence_nr`; return the state.

        ``await view.wait_for(view.sequence_nr + 1)`` waits for the next event. To give up after some time, put it into
        ``trio.fail_after(...)``.

        Raises: see `update`.

        Cancellation: keeps what was read so far.
        """
        self._check_open()
        await trio.lowlevel.checkpoint()
        while self.sequence_nr < sequence_nr:
            if not await self.update():
                await trio.sleep(self._poll_every)
        return self.state

    async def lag(self) -> int:
        """Return how many events the view is behind its entity: 0 when it has read everything that is stored now.

        Numbers that rejected writes used up count, too.

        Raises:
            BrokerError: the journal did not answer.
            StoreClosed: the view's block has ended.
        """
        self._check_open()
        highest = await self._services.journal.highest_sequence_nr(self.persistence_id)
        return max(0, highest - self.sequence_nr)

    async def follow(self) -> None:
        """Keep the view up to date until cancelled: ``nursery.start_soon(view.follow)``.

        Raises: see `update`.
        """
        while True:
            await self.wait_for(self.sequence_nr + 1)

    # --- snapshots -----------------------------------------------------------------------------------------------

    async def save_snapshot(self) -> SnapshotMetadata:
        """Save a snapshot of the state now, under the view's id; return its metadata.

        Raises and cancellation: as `Entity.save_snapshot`.
        """
        self._check_open()
        async with self._lock:
            self._check_open()
            metadata, state = self._describe_snapshot(), self.state
        return await self._snapshots.save(metadata, state)

    def _describe_snapshot(self) -> SnapshotMetadata:
        return self._snapshots.describe(self.sequence_nr, self._bookmark)

    # --- life ----------------------------------------------------------------------------------------------------

    async def wait_snapshot_saved(self) -> None:
        """Wait until no automatic snapshot is being saved."""
        await self._snapshots.wait_saved()

    def close(self) -> None:
        """Refuse every later call; idempotent. Leaving the view's block calls this."""
        self._closed = True

    def _check_open(self) -> None:
        self._services.check_open()
        if self._closed:
            raise StoreClosed(f"the view {printable(self.view_id)} is closed; use it inside its `async with` block")


async def recover_view(
    services: Services, fold: Fold[S], view_id: str, *, retention: Retention, poll_every: float
) -> View[S]:
    """Load the snapshot, replay; see `_entities.recovery`."""
    bookmark: bytes | None = None

    async def look() -> int:
        nonlocal bookmark
        highest = await services.journal.highest_sequence_nr(fold.persistence_id)
        bookmark = services.journal.bookmark(fold.persistence_id)
        return highest

    recovery = Recovery(services=services, fold=fold, snapshot_id=view_id, view_of=fold.persistence_id, begin=look)
    with services.span("recover", persistence_id=fold.persistence_id, view_id=view_id):
        recovered = await recovery.run()
    await services.delete_snapshots(recovered.orphans)
    return View(services, fold, view_id, recovered, bookmark, retention, poll_every)
