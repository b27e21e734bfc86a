"""Recovery: the latest snapshot, then the events behind it.

The order of the steps decides:

1. Load the latest snapshot. Its bookmark tells the journal where to begin reading.
2. Begin: an entity claims its id, a view only asks for the highest sequence number. From here on the number is fixed,
   and it is the upper bound of the replay.
3. A snapshot above that number is an *orphan*: the journal lost the events that it stands on (Kafka may, in an unclean
   election). The policy decides: pass over it to an older one, or take it and number on behind it. Views pass over it.
4. Replay from behind the snapshot up to the number of step 2.

An orphan that was passed over stays in the store until the entity writes. Then it has to go: the numbers of the lost
events are given out again, and a later recovery would take it for a snapshot of the new events.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import attrs

from ..abc import Capability
from ..errors import CorruptRecord, JournalTruncated, UsageError, printable
from ..model import LATEST, SelectedSnapshot, SelectionCriteria
from .fold import Fold
from .services import Services

_log = logging.getLogger("kafka_persist.entity")

S = TypeVar("S")

VIEW_OF: Final = "view-of"
"""Key in the metadata of a view's snapshots: the id that the view follows."""


@attrs.frozen
class Recovered:
    """What a recovery found, beside the state.

    Attributes:
        highest: the last used sequence number.
        snapshot_nr: number of the snapshot that was loaded; None if none was.
        orphans: selects the snapshots that must be deleted before the next write; None for none.
    """

    highest: int
    snapshot_nr: int | None
    orphans: SelectionCriteria | None


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
            WriteError, BrokerError: see `Journal.claim`.
        """
        snapshot = await self._load(LATEST)
        highest = await self._begin(snapshot)
        orphans: SelectionCriteria | None = None
        ignored = self.services.ignore_orphan or self.view_of is not None  # a view can be built anew from the events
        if snapshot is not None and snapshot.metadata.sequence_nr > highest and ignored:
            self._warn(snapshot, highest)
            orphans = SelectionCriteria(min_sequence_nr=highest + 1)
            snapshot = await self._load(SelectionCriteria(max_sequence_nr=highest))
        if snapshot is not None:
            self.fold.state, self.fold.sequence_nr = snapshot.snapshot, snapshot.metadata.sequence_nr
        if highest > self.fold.sequence_nr:
            await self.fold.read(self.services.journal, highest)
        return Recovered(
            max(highest, self.fold.sequence_nr), None if snapshot is None else snapshot.metadata.sequence_nr, orphans
        )

    async def _load(self, criteria: SelectionCriteria) -> SelectedSnapshot | None:
        snapshot = await self.services.snapshot_store.load(self.snapshot_id, criteria)
        if snapshot is not None:
            self._check_owner(snapshot.metadata.metadata)
        return snapshot

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

    async def _begin(self, snapshot: SelectedSnapshot | None) -> int:
        """Begin behind the snapshot; if the log does not hold that place, at the log's start."""
        if snapshot is None or not self._resume(snapshot):
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
            _log.warning("%s: reading from the start: %s", printable(self.snapshot_id), error)
            return False
        return True

    def _warn(self, snapshot: SelectedSnapshot, highest: int) -> None:
        _log.warning(
            "%s: the snapshot at %d is newer than the journal's last event, %d: events were lost. The snapshot is "
            "passed over (ignore-orphan), and deleted before the next event is written",
            printable(self.snapshot_id),
            snapshot.metadata.sequence_nr,
            highest,
        )
