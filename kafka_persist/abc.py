"""The contract: what a journal and a snapshot store promise. `compat_suite` checks it, promise by promise.

Third parties subclass `Journal` and `SnapshotStore`. Stores are opened by a function that returns an asynchronous
context manager (``open_journal(...)``); leaving it ends every task, thread and connection of the store.

Common to all methods of both classes:

* ``async def`` always executes a checkpoint, also when the answer is in memory.
* After the store's block ended, every call raises `StoreClosed`.
* Errors escape bare, never inside an exception group.
"""

from __future__ import annotations

import abc
import enum
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias
from uuid import UUID

import trio

from .errors import UnsupportedOperation
from .model import (
    LATEST,
    MAX_SEQUENCE_NR,
    AtomicWrite,
    PersistentRepr,
    Rejection,
    SelectedSnapshot,
    SelectionCriteria,
    SnapshotMetadata,
)

ReplayChannel: TypeAlias = trio.abc.ReceiveChannel[PersistentRepr]
"""Events in ascending order; ends with `trio.EndOfChannel`. ``trio.as_safe_channel`` makes one from a generator.

`receive` is a full checkpoint. An ``async for`` looks at cancellation at each event, but may let other tasks run only
every few events.
"""


class Capability(enum.Enum):
    """What a store can do beyond the core: a closed vocabulary. What is not declared must be refused, not half done."""

    MULTI_EVENT_ATOMIC_WRITES = "multi-event-atomic-writes"
    """Stores several events of one `AtomicWrite` all or not at all. Without it such a write is a `Rejection`."""
    REJECTS_UNSERIALIZABLE = "rejects-unserializable"
    """Answers a payload that it cannot serialize with a `Rejection` for that write alone."""
    METADATA = "metadata"
    """Stores `PersistentRepr.metadata` and `SnapshotMetadata.metadata`."""
    TAGS = "tags"
    """Stores `PersistentRepr.tags`."""
    DELETES = "deletes"
    """Supports `Journal.delete_to`. Without it that call raises `UnsupportedOperation` and changes nothing."""
    DELETES_INSIDE_ATOMIC_WRITES = "deletes-inside-atomic-writes"
    """A deletion may end in the middle of an atomic write; the rest of that write stays readable."""
    REFUSES_STALE_SEQUENCE_NRS = "refuses-stale-sequence-nrs"
    """A write that does not start above the highest sequence number raises `SequenceNrConflict`."""
    FENCING = "fencing"
    """After `claim` by another writer, the older writer's writes raise `WriterFenced` and are never visible."""
    DURABLE = "durable"
    """Everything survives closing the store, the death of the process, and opening it again."""
    PERSISTENCE_IDS = "persistence-ids"
    """Supports `Journal.persistence_ids`."""
    MULTIPLE_SNAPSHOTS = "multiple-snapshots"
    """The snapshot store keeps more than the newest snapshot of an id."""
    SNAPSHOT_FALLBACK = "snapshot-fallback"
    """Where the newest snapshot is unreadable, `load` gives an older readable one instead of `SnapshotUnreadable`."""


class Journal(abc.ABC):
    """Stores the events of entities and gives them back.

    A writer (a uuid, one per incarnation of an entity) takes an id over with `claim` and then writes. Calls for
    different ids are independent of each other; calls for one id take effect in the order in which they were made.
    """

    @property
    @abc.abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What this journal can do; constant over its life."""

    @abc.abstractmethod
    async def claim(self, persistence_id: str, writer: UUID) -> int:
        """Take the id over for `writer` and return its highest sequence number (0 if never written).

        When it returns, every write of older writers is decided forever: either it is in every later replay or it
        never will be. From then on older writers are fenced (`Capability.FENCING`).

        Raises:
            InvalidPersistenceId: see `check_persistence_id`.
            WriteOutcomeUnknown: the claim itself may or may not have landed; claim again, with a new writer.
            StoredDataError: the id's log is damaged or incomplete.
            BrokerError: the backend did not answer.

        Cancellation: the claim may have landed; the id then has no live writer until the next claim.
        """

    @abc.abstractmethod
    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """Store atomic writes, of any ids; return one result each, in order: None (stored) or a `Rejection`.

        Each atomic write is stored all or not at all; the sequence of them is not atomic. Writes of one id become
        visible in the order given. When it returns, each stored event is in every later replay, until deleted.
        A rejected write is certainly not stored, does not affect the others and does not raise the highest sequence number:
        its numbers may be used by the next write, or stay a hole. What can be rejected is a payload or metadata that cannot be
        serialized, and what is too large. The sequence, the payloads and the metadata are taken as they are before the call
        first yields: changing them afterwards does not change what is stored. An empty sequence gives an empty result.

        Where several things are wrong, the first of these counts: a write that cannot be serialized is a `Rejection`, whoever
        holds the id; a write of a fenced writer is `WriterFenced`, whatever its number; a used number (that of a write before
        it in the same call included) is a `SequenceNrConflict` of the whole call, so that nothing of it is stored. Without
        one, the call stores what can be stored, and if a writer was fenced it raises `WriterFenced`, whose
        `results` have each write's own outcome.

        Raises:
            SequenceNrConflict: a write does not start above the highest sequence number of its id; nothing of the
                call was stored.
            WriterFenced: another writer holds the id (or this one never claimed it); that write is certainly not
                stored.
            WriteOutcomeUnknown: at least one write may or may not be stored. Its writer is finished for its id:
                later writes raise `WriterFenced` or `WriteOutcomeUnknown` until a new writer claims the id.
                `WriteError.results` tells each write's own outcome.
            BrokerError: the backend did not answer; certainly nothing was stored.

        Cancellation: if `Cancelled` comes out, nothing of the call is stored, now or later, and the writer may go on; a
        call that waits behind others leaves the queue. After the hand-over to the backend the call waits, shielded, for
        the answer (bounded by the store's configured delivery time) and returns it or raises its error.
        """

    @abc.abstractmethod
    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """Open the id's events with ``from_sequence_nr <= n <= to_sequence_nr``, at most `max_events`, ascending.

        Both bounds are inclusive; a lower one below 1 means 1. An empty interval (an upper bound below 1), a `max_events` of 0
        or below and an unknown id give no events. Every event that was stored before the call is included, unless deleted; of those stored
        meanwhile a prefix may be. Memory is bounded whatever the number of events. Any number of replays may run at
        once; leaving the block early releases everything. A replay whose store is closed gives at most what it has read
        ahead, and then raises `StoreClosed`, unless that was all. After an error it delivers nothing more.

        Raises (on entry or while receiving):
            StoredDataError: an event in range cannot be returned; no event after it is delivered.
            RecoveryStalled, BrokerError: the backend did not answer.
        """

    @abc.abstractmethod
    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """Return the last used sequence number: 0 if never written; it never decreases, whatever is deleted.

        Waits for writes of the same id that are under way in this store.
        """

    @abc.abstractmethod
    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """Delete the events up to and including `to_sequence_nr`, forever.

        Clamped to the highest sequence number as of its turn among the calls of the id, so that it takes the writes that were
        called before it and never hides a later one; it survives restarts and never
        lowers the highest sequence number. Idempotent; a smaller number than before, zero, a negative number and an
        unknown id change nothing and succeed.

        Raises:
            UnsupportedOperation: `Capability.DELETES` is not declared.
            WriteOutcomeUnknown: the deletion may or may not have happened; calling again is safe.
        """

    def persistence_ids(self) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[str]]:
        """Open the ids that have been written, in no particular order (`Capability.PERSISTENCE_IDS`).

        Raises:
            UnsupportedOperation: the capability is not declared.
        """
        raise UnsupportedOperation(f"{type(self).__name__} does not declare {Capability.PERSISTENCE_IDS}")

    def bookmark(self, persistence_id: str) -> bytes | None:
        """Return opaque bytes for `SnapshotMetadata.bookmark`: where replay goes on after everything known here.

        None (the default) means that this journal needs none or does not know the id.
        """
        return None

    def deleted_to(self, persistence_id: str) -> int | None:
        """Return the number up to which the id's events are deleted, as far as this journal has read (0: none are).

        Exact after `claim`, `highest_sequence_nr` and while a `replay` is open. With it, readers tell a deletion from
        the hole that a rejected write leaves. None (the default) means that this journal does not tell.
        """
        return None

    def resume_from(self, persistence_id: str, bookmark: bytes) -> None:  # noqa: B027 - optional, like persistence_ids
        """Tell the journal that a snapshot with this bookmark was loaded: the next claim may start reading there.

        A hint: the default ignores it. A bookmark that the log contradicts makes the claim raise `JournalTruncated`.
        """


class SnapshotStore(abc.ABC):
    """Stores snapshots of entities and views and gives the newest matching one back."""

    @property
    @abc.abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What this store can do; constant over its life."""

    @abc.abstractmethod
    async def save(self, metadata: SnapshotMetadata, snapshot: object) -> SnapshotMetadata:
        """Store a snapshot; return its metadata with the timestamp that the store set.

        An existing snapshot of the same id and sequence number is replaced. The timestamp is the store's clock in
        milliseconds; the one in `metadata` is ignored.

        Raises:
            SerializationError: the snapshot cannot be encoded; nothing was stored.
            WriteOutcomeUnknown: it may or may not be stored; saving again is safe.
            BrokerError: the backend did not answer; certainly not stored.

        Cancellation: all or nothing; a half-written snapshot is never loaded. If `Cancelled` comes out, the snapshot may be
        there, but nothing is saved any more later: the next save of its number counts.
        """

    @abc.abstractmethod
    async def load(self, persistence_id: str, criteria: SelectionCriteria = LATEST) -> SelectedSnapshot | None:
        """Return the matching snapshot with the highest sequence number, or None: *certainly no* such snapshot.

        Raises:
            SnapshotUnreadable: a matching snapshot exists but cannot be read (unless
                `Capability.SNAPSHOT_FALLBACK` is declared and an older one can).
        """

    @abc.abstractmethod
    async def delete(self, metadata: SnapshotMetadata) -> None:
        """Delete the snapshot with this id and sequence number, if its timestamp equals, or ``timestamp`` is 0.

        Deleting what does not exist succeeds. Survives restarts; a later save of the same number is visible.
        """

    @abc.abstractmethod
    async def delete_matching(self, persistence_id: str, criteria: SelectionCriteria) -> None:
        """Delete the existing snapshots that match all four bounds; later saves are not affected."""
