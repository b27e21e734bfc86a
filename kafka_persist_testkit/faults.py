"""Faults on demand, for tests of applications: the next write fails, or its outcome is unknown, or the id is taken over.

`open_faulty_persistence` opens what `open_memory_persistence` opens, and `faulty` wraps any other journal and snapshot
store; both give a `Faults`, which says what goes wrong from then on.
"""

from __future__ import annotations

import math
import uuid
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager

import trio

from kafka_persist import (
    LATEST,
    AtomicWrite,
    Capability,
    Config,
    ConnectError,
    Journal,
    MemoryBackend,
    Persistence,
    Rejection,
    SelectedSnapshot,
    SelectionCriteria,
    Serializer,
    SnapshotMetadata,
    SnapshotStore,
    UsageError,
    WriteNotSent,
    WriteOutcomeUnknown,
    open_memory_journal,
    open_memory_snapshot_store,
    open_persistence_on,
)
from kafka_persist.abc import ReplayChannel
from kafka_persist.model import MAX_SEQUENCE_NR

_ASKED_FOR = "the test asked for it"


class _Fault:
    """What happens to one write: an error in its place, or after it."""

    def __init__(self, error: Exception, *, stored: bool) -> None:
        self.error = error
        self.stored = stored


class Faults:
    """What goes wrong with the journal and the snapshot store, until the test says otherwise."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._writes: deque[_Fault] = deque()
        self._saves: deque[Exception] = deque()
        self._delay = 0.0
        self._broken: str | None = None

    def __repr__(self) -> str:
        return f"<Faults: {len(self._writes)} writes and {len(self._saves)} snapshots will fail>"

    def fail_next_write(self, error: Exception | None = None) -> None:
        """The next write is certainly not stored, and raises `error`: `WriteNotSent` unless given. Calls add up."""
        self._writes.append(_Fault(error or WriteNotSent(f"nobody took the write: {_ASKED_FOR}"), stored=False))

    def unknown_next_write(self, *, stored: bool) -> None:
        """The outcome of the next write is unknown to its caller; in truth it is stored, or it is not. Calls add up."""
        self._writes.append(_Fault(WriteOutcomeUnknown(f"no report came: {_ASKED_FOR}"), stored=stored))

    def fail_next_snapshot(self, error: Exception | None = None) -> None:
        """The next snapshot is not saved, and its saving raises `error`: `ConnectError` unless given. Calls add up."""
        self._saves.append(error or ConnectError(f"nobody answers: {_ASKED_FOR}"))

    async def fence(self, persistence_id: str) -> None:
        """Take the id over, as another process would: whoever has it open is fenced at its next write.

        Args:
            persistence_id: the whole one, ``account.persistence_id("4711")``.
        """
        await self._journal.claim(persistence_id, uuid.uuid4())

    @contextmanager
    def slow(self, seconds: float) -> Iterator[None]:
        """Each call that asks the broker takes this long, inside the block; with `autojump_clock` it costs no time."""
        if not 0 <= seconds < math.inf:
            raise UsageError(f"seconds must be a number from 0 on, not {seconds!r}")
        before, self._delay = self._delay, seconds
        try:
            yield
        finally:
            self._delay = before

    @contextmanager
    def broken(self) -> Iterator[None]:
        """No broker answers, inside the block: each call raises `ConnectError`, and nothing is stored."""
        before, self._broken = self._broken, f"no broker answers: {_ASKED_FOR}"
        try:
            yield
        finally:
            self._broken = before

    async def reach(self) -> None:
        """What each call does first."""
        await trio.sleep(self._delay)
        if self._broken is not None:
            raise ConnectError(self._broken)

    def next_write(self) -> _Fault | None:
        """The fault of the write that is about to begin."""
        return self._writes.popleft() if self._writes else None

    def next_save(self) -> Exception | None:
        """The error of the snapshot that is about to be saved."""
        return self._saves.popleft() if self._saves else None


class FaultyJournal(Journal):
    """A journal with faults."""

    def __init__(self, inner: Journal, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the journal inside."""
        return self._inner.capabilities

    async def claim(self, persistence_id: str, writer: uuid.UUID) -> int:
        """See `Journal`."""
        await self._faults.reach()
        return await self._inner.claim(persistence_id, writer)

    async def write(self, writes: Sequence[AtomicWrite]) -> Sequence[Rejection | None]:
        """See `Journal`."""
        await self._faults.reach()
        fault = self._faults.next_write()
        if fault is not None and not fault.stored:
            raise fault.error
        results = await self._inner.write(writes)
        if fault is not None:
            raise fault.error
        return results

    def replay(
        self,
        persistence_id: str,
        *,
        from_sequence_nr: int = 1,
        to_sequence_nr: int = MAX_SEQUENCE_NR,
        max_events: int | None = None,
    ) -> AbstractAsyncContextManager[ReplayChannel]:
        """See `Journal`."""
        return self._replay(persistence_id, from_sequence_nr, to_sequence_nr, max_events)

    @asynccontextmanager
    async def _replay(
        self, persistence_id: str, first: int, last: int, max_events: int | None
    ) -> AsyncIterator[ReplayChannel]:
        await self._faults.reach()
        opened = self._inner.replay(persistence_id, from_sequence_nr=first, to_sequence_nr=last, max_events=max_events)
        async with opened as events:
            yield events

    async def highest_sequence_nr(self, persistence_id: str) -> int:
        """See `Journal`."""
        await self._faults.reach()
        return await self._inner.highest_sequence_nr(persistence_id)

    async def delete_to(self, persistence_id: str, to_sequence_nr: int) -> None:
        """See `Journal`."""
        await self._faults.reach()
        await self._inner.delete_to(persistence_id, to_sequence_nr)

    def persistence_ids(self) -> AbstractAsyncContextManager[trio.abc.ReceiveChannel[str]]:
        """See `Journal`."""
        return self._inner.persistence_ids()

    def bookmark(self, persistence_id: str) -> bytes | None:
        """See `Journal`."""
        return self._inner.bookmark(persistence_id)

    def deleted_to(self, persistence_id: str) -> int | None:
        """See `Journal`."""
        return self._inner.deleted_to(persistence_id)

    def resume_from(self, persistence_id: str, bookmark: bytes) -> None:
        """See `Journal`."""
        self._inner.resume_from(persistence_id, bookmark)


class FaultySnapshotStore(SnapshotStore):
    """A snapshot store with faults."""

    def __init__(self, inner: SnapshotStore, faults: Faults) -> None:
        self._inner = inner
        self._faults = faults

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the store inside."""
        return self._inner.capabilities

    async def save(self, metadata: SnapshotMetadata, snapshot: object) -> SnapshotMetadata:
        """See `SnapshotStore`."""
        await self._faults.reach()
        error = self._faults.next_save()
        if error is not None:
            raise error
        return await self._inner.save(metadata, snapshot)

    async def load(self, persistence_id: str, criteria: SelectionCriteria = LATEST) -> SelectedSnapshot | None:
        """See `SnapshotStore`."""
        await self._faults.reach()
        return await self._inner.load(persistence_id, criteria)

    async def delete(self, metadata: SnapshotMetadata) -> None:
        """See `SnapshotStore`."""
        await self._faults.reach()
        await self._inner.delete(metadata)

    async def delete_matching(self, persistence_id: str, criteria: SelectionCriteria) -> None:
        """See `SnapshotStore`."""
        await self._faults.reach()
        await self._inner.delete_matching(persistence_id, criteria)


def faulty(journal: Journal, snapshot_store: SnapshotStore) -> tuple[FaultyJournal, FaultySnapshotStore, Faults]:
    """Wrap a journal and a snapshot store, of whatever kind, for `open_persistence_on`; nothing is wrong with them yet."""
    faults = Faults(journal)
    return FaultyJournal(journal, faults), FaultySnapshotStore(snapshot_store, faults), faults


@asynccontextmanager
async def open_faulty_persistence(
    backend: MemoryBackend | None = None,
    *,
    serializer: Serializer | None = None,
    config: Config | None = None,
) -> AsyncIterator[tuple[Persistence, Faults]]:
    """Open a persistence in memory, and its faults.

    Args:
        backend: where everything is kept; None makes one that ends with the block. Two on the same one are what two processes
            are on the same brokers.
        serializer: the registry of event and state types; by default plain data only.
        config: its limits hold here as well; see `kafka_persist.open_memory_persistence`.
    """
    config = config or Config()
    backend = MemoryBackend() if backend is None else backend
    serializer = serializer or Serializer()
    async with (
        open_memory_journal(backend, serializer=serializer, config=config.journal) as journal,
        open_memory_snapshot_store(backend, serializer=serializer, keep=config.snapshot_store.keep) as store,
    ):
        wrapped_journal, wrapped_store, faults = faulty(journal, store)
        async with open_persistence_on(wrapped_journal, wrapped_store, serializer=serializer) as persistence:
            yield persistence, faults
