"""Recovery: the latest snapshot, then the events behind it.

The order of the steps decides:

1. Load the latest snapshot. Its bookmark tells the journal where to begin reading.
2. Begin: an entity claims its id, a view only asks for the highest sequence number. From here on the number is fixed,
   and it is the upper bound of the replay.
3. A snapshot above that number is an *orphan*: the journal lost the events that it stands on (Kafka may, in an unclean
   election). The policy decides: pass over it to an older one, or take it and number on behind it. Views pass over it.
4. Replay from behind the snapshot up to the number of step 2.

The writer that was there before may save a newer snapshot and delete the events below it at any time, before the claim
and after it: a claim stops its events, not its deletions. Who deletes has saved before. So where the replay finds events
deleted, the newest snapshot is loaded again: it covers them, or they are missing. If it is above the number of step 2,
the id was claimed once more, written to and cut: the recovery begins anew.

A snapshot that cannot be read (a field was added to the state's class) is not needed while all events up to it are
there: the state is made of them. They are counted before step 2, so that an opening which fails takes the id from nobody.

An orphan that was skipped stays in the store until the entity writes. Then it has to go: the numbers of the lost
events are given out again, and a later recovery would take it for a snapshot of the new events.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, Generic, TypeAlias, TypeVar

import attrs

from ..abc import Capability
from ..errors import (
    CorruptRecord,
    JournalTruncated,
    RecoveryStalled,
    SnapshotUnreadable,
    UsageError,
    WriterFenced,
    printable,
)
from ..model import LATEST, SelectedSnapshot, SelectionCriteria, SnapshotMetadata
from .fold import Fold
from .services import Services

_log = logging.getLogger("kafka_persist.entity")

S = TypeVar("S")

VIEW_OF: Final = "view-of"
"""Key in the metadata of a view's snapshots: the id that the view follows."""

MAX_BEGINNINGS: Final = 20
"""How often a recovery begins anew because others wrote, saved and deleted meanwhile."""


_Newest: TypeAlias = SelectedSnapshot | SnapshotUnreadable | None


class _Overtaken(Exception):  # noqa: N818 - never leaves this module
    """The newest snapshot is of events that came after this recovery had begun."""


@attrs.frozen
class Recovered:
    """What a recovery found, beside the state.

    Attributes:
        highest: the last used sequence number.
        snapshot: the newest snapshot that was loaded; None if none was.
        orphans: the snapshots that must be deleted before the next write.
    """

    highest: int
    snapshot: SnapshotMetadata | None
    orphans: tuple[SnapshotMetadata, ...]


@attrs.frozen(kw_only=True)
class Recovery(Generic[S]):
    """One recovery.

    Attributes:
        services: stores and policy.
        fold: gets the state; its own is the initial one.
        snapshot_id: under which id the snapshots are.
        view_of: None for an entity, the followed id for a view.
        begin: claims the id, or looks at it; returns the highest sequence number.
    """

    services: Services
    fold: Fold[S]
    snapshot_id: str
    view_of: str | None
    begin: Callable[[], Awaitable[int]]

    async def run(self) -> Recovered:
        """Recover.

        Raises:
            StoredDataError: snapshot or events cannot be read, or are missing.
            EvolveFailed: `evolve` refuses a stored event.
            WriterFenced: others claim the id, write to it and delete, faster than it can be recovered.
            WriteError, BrokerError: see `Journal.claim`.
        """
        initial = self.fold.state
        for _ in range(MAX_BEGINNINGS):
            try:
                return await self._run()
            except _Overtaken:
                self.fold.restart(initial)
        where = printable(self.fold.persistence_id)
        if self.view_of is None:
            raise WriterFenced(f"{where}: others claimed the id {MAX_BEGINNINGS} times while it was recovered")
        raise RecoveryStalled(f"{where}: events were deleted {MAX_BEGINNINGS} times before they were read")

    async def _run(self) -> Recovered:
        snapshot = await self._newest_before_begin()
        highest = await self._begin(snapshot)
        snapshot, orphans = await self._pass_over_orphans(snapshot, highest)
        if snapshot is not None:
            self.fold.load(snapshot)
        loaded = [] if snapshot is None else [snapshot.metadata]

        async def newer_snapshot() -> SelectedSnapshot | None:
            found = await self._newest_after_begin(highest, orphans)
            loaded.extend([] if found is None else [found.metadata])
            return found

        await self.fold.read(self.services.journal, highest, newer_snapshot)
        newest = max(loaded, key=lambda metadata: metadata.sequence_nr, default=None)
        return Recovered(max(highest, self.fold.sequence_nr), newest, orphans)

    # --- the snapshot --------------------------------------------------------------------------------------------

    async def _newest_before_begin(self) -> _Newest:
        """Return the newest snapshot, None for none, or the error of one that can be done without."""
        try:
            return await self._load(LATEST)
        except SnapshotUnreadable as error:
            highest = await self.services.journal.highest_sequence_nr(self.fold.persistence_id)
            await self._check_dispensable(error, highest)
            return error

    async def _pass_over_orphans(
        self, newest: _Newest, highest: int
    ) -> tuple[SelectedSnapshot | None, tuple[SnapshotMetadata, ...]]:
        """Return the newest snapshot that stands on events which are there, and those that do not.

        They are named one by one: when the entity writes for the first time, perhaps much later, another one may have
        come meanwhile, and saved snapshots with the same numbers.
        """
        orphans: list[SnapshotMetadata] = []
        while newest is not None:
            metadata = newest.metadata
            if metadata is None or metadata.sequence_nr <= highest or not self._ignores_orphans:
                break
            self._warn_of_orphan(metadata, highest)
            orphans.append(metadata)
            newest = await self._load_below(metadata.sequence_nr, highest)
        if isinstance(newest, SnapshotUnreadable):
            self._warn_of_unreadable(newest)
            newest = None
        return newest, tuple(orphans)

    async def _load_below(self, sequence_nr: int, highest: int) -> _Newest:
        try:
            return await self._load(SelectionCriteria(max_sequence_nr=sequence_nr - 1))
        except SnapshotUnreadable as error:
            await self._check_dispensable(error, highest)
            return error

    async def _newest_after_begin(self, highest: int, orphans: Collection[SnapshotMetadata]) -> SelectedSnapshot | None:
        """Return the newest snapshot as of now that is not above `highest`.

        Raises:
            _Overtaken: there is one above it, of events that were written after this recovery had begun.
        """
        newest = await self._load(LATEST)
        if newest is None or newest.metadata.sequence_nr <= highest:
            return newest
        if all(_identity(newest.metadata) != _identity(orphan) for orphan in orphans):
            raise _Overtaken
        return await self._load(SelectionCriteria(max_sequence_nr=highest))

    async def _load(self, criteria: SelectionCriteria) -> SelectedSnapshot | None:
        snapshot = await self.services.snapshot_store.load(self.snapshot_id, criteria)
        if snapshot is not None:
            self._check_owner(snapshot.metadata.metadata)
        return snapshot

    @property
    def _ignores_orphans(self) -> bool:
        return self.services.ignore_orphan or self.view_of is not None  # a view can be built anew from the events

    async def _check_dispensable(self, error: SnapshotUnreadable, highest: int) -> None:
        """Raise `error` unless the state can be made without the snapshot: all events below it are there.

        A rejected write leaves a hole, too; but so do events that were lost and that only the snapshot has. So any hole
        counts. A store that does not say which snapshot it is leaves open what it stands on.
        """
        if error.metadata is None:
            raise error
        last = error.metadata.sequence_nr
        if last > highest and not self._ignores_orphans:
            raise error  # the policy wants its state
        if await self._count_to(min(last, highest)) < min(last, highest):
            raise error

    async def _count_to(self, last: int) -> int:
        """Return how many events from the first one on are there without a hole, up to number `last`."""
        count = 0
        async with self.services.journal.replay(self.fold.persistence_id, to_sequence_nr=last) as events:
            async for event in events:
                if event.sequence_nr != count + 1:
                    break
                count += 1
        return count

    def _check_owner(self, metadata: Any) -> None:
        """Refuse snapshots of others under the same name (a store without `Capability.METADATA` cannot tell)."""
        if Capability.METADATA not in self.services.snapshot_store.capabilities:
            return
        found = metadata.get(VIEW_OF) if isinstance(metadata, dict) else None
        if found != self.view_of:
            owner = f"a view of {printable(str(found))}" if found is not None else "an entity"
            raise UsageError(
                f"the snapshots under {printable(self.snapshot_id)} are those of {owner}; give each view a view_id "
                "that is neither another view's nor a persistence id"
            )

    async def _begin(self, snapshot: _Newest) -> int:
        """Begin behind the snapshot; if the log does not hold that place, at the log's start."""
        if not isinstance(snapshot, SelectedSnapshot) or not self._resume(snapshot):
            return await self.begin()
        try:
            return await self.begin()
        except JournalTruncated as error:
            truncated = error
        highest = await self.begin()  # the journal has dropped the bookmark
        if highest >= snapshot.metadata.sequence_nr:
            raise truncated  # not shorter but another log: nobody can tell which events the snapshot stands on
        return highest

    def _resume(self, snapshot: SelectedSnapshot) -> bool:
        bookmark = snapshot.metadata.bookmark
        if bookmark is None:
            return False
        try:
            self.services.journal.resume_from(self.fold.persistence_id, bookmark)
        except CorruptRecord as error:
            _log.warning(
                "%s: reading from the start: %s",
                printable(self.snapshot_id),
                error,
                extra={"event": "entity.bookmark-unusable"},
            )
            return False
        return True

    def _warn_of_orphan(self, orphan: SnapshotMetadata, highest: int) -> None:
        _log.warning(
            "%s: the snapshot at %d is newer than the journal's last event, %d: events were lost. The snapshot is "
            "skipped (ignore-orphan), and deleted before the next event is written",
            printable(self.snapshot_id),
            orphan.sequence_nr,
            highest,
            extra={"event": "snapshot.orphan"},
        )

    def _warn_of_unreadable(self, error: SnapshotUnreadable) -> None:
        _log.warning(
            "%s: the snapshot at %s is not used: %s. All events are there, and the state is made of them; the next snapshot "
            "takes its place",
            printable(self.snapshot_id),
            None if error.metadata is None else error.metadata.sequence_nr,
            error,
            extra={"event": "snapshot.unused"},
        )


def _identity(metadata: SnapshotMetadata) -> tuple[int, int]:
    """What tells two snapshots of one id apart."""
    return metadata.sequence_nr, metadata.timestamp
